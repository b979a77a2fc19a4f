"""The artifact: what is written is read back, and nothing else is."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from regroup.artifact import (
    GOLDEN,
    HEADS,
    MANIFEST,
    PARTS,
    UNCERTAINTY,
    describe_parts,
    digest_of,
    load_artifact,
    read_heads,
    read_manifest,
    read_uncertainty,
    write_artifact,
    write_heads,
    write_uncertainty,
)
from regroup.domain.golden import Golden, make_golden
from regroup.domain.uncertainty import Uncertainty
from regroup.errors import ArtifactCorruptError, ArtifactError, ArtifactIncompatibleError
from regroup.kmeans_file import read_kmeans
from tests.local.small_artifact import small_artifact, small_heads

DATA = Path(__file__).parents[1] / "data"
RNG = np.random.default_rng(0)


def fetch_from(folder: Path) -> Callable[[str], bytes]:
    return lambda name: (folder / name).read_bytes()


@pytest.fixture
def published(tmp_path: Path) -> tuple[str, Path]:
    manifest, parts = small_artifact()
    return write_artifact(tmp_path, manifest, parts), tmp_path


def test_an_artifact_is_read_back_as_it_was_written(published: tuple[str, Path]) -> None:
    digest, folder = published
    artifact = load_artifact(digest, fetch_from(folder))
    assert artifact.digest == digest
    assert artifact.manifest.to_bytes() == (folder / MANIFEST).read_bytes()
    assert write_heads(artifact.heads) == (folder / HEADS).read_bytes()
    assert (artifact.encoder_onnx, artifact.tokenizer) == (b"an encoder", b"a tokenizer")


@pytest.mark.parametrize("name", [*PARTS, MANIFEST])
@pytest.mark.parametrize("eighth", range(8))
def test_a_flipped_bit_in_any_part_is_refused(
    published: tuple[str, Path], name: str, eighth: int
) -> None:
    digest, folder = published
    content = bytearray((folder / name).read_bytes())
    content[eighth * len(content) // 8] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactCorruptError, match=name):
        load_artifact(digest, fetch_from(folder))


@pytest.mark.parametrize("name", [*PARTS, MANIFEST])
@pytest.mark.parametrize("eighth", range(8))
def test_a_part_cut_short_is_refused(published: tuple[str, Path], name: str, eighth: int) -> None:
    digest, folder = published
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: eighth * len(content) // 8])
    with pytest.raises(ArtifactCorruptError, match=name):
        load_artifact(digest, fetch_from(folder))


def test_a_part_of_another_artifact_is_refused(published: tuple[str, Path]) -> None:
    digest, folder = published
    (folder / HEADS).write_bytes(write_heads(small_heads()))
    with pytest.raises(ArtifactCorruptError, match=HEADS):
        load_artifact(digest, fetch_from(folder))


def test_a_tokenizer_that_the_encoder_was_not_trained_with_is_refused() -> None:
    manifest, parts = small_artifact()
    manifest = replace(manifest, encoder=replace(manifest.encoder, tokenizer_sha256="0" * 64))
    files = {**parts, MANIFEST: manifest.to_bytes()}
    with pytest.raises(ArtifactIncompatibleError, match="tokenizer"):
        load_artifact(digest_of(files[MANIFEST]), files.__getitem__)


def test_a_newer_schema_is_refused_with_a_way_out() -> None:
    content = replace(small_artifact()[0], schema=2).to_bytes()
    with pytest.raises(ArtifactIncompatibleError, match="deploy a newer one"):
        read_manifest(content, digest_of(content))


def test_fields_of_later_versions_are_ignored() -> None:
    manifest = small_artifact()[0]
    fields = json.loads(manifest.to_bytes())
    fields["mood"] = "sunny"
    fields["encoder"]["colour"] = "red"
    content = json.dumps(fields).encode()
    assert read_manifest(content, digest_of(content)) == manifest


@pytest.mark.parametrize("field", ["parts", "candidates", "encoder", "presets", "verdict"])
def test_a_manifest_without_a_field_is_refused(field: str) -> None:
    fields = json.loads(small_artifact()[0].to_bytes())
    del fields[field]
    content = json.dumps(fields).encode()
    with pytest.raises(ArtifactCorruptError, match=MANIFEST):
        read_manifest(content, digest_of(content))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_manifest_are_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError):
        read_manifest(content, digest_of(content))


def test_the_same_artifact_has_the_same_digest_every_time(tmp_path: Path) -> None:
    manifest, parts = small_artifact()
    digests = {write_artifact(tmp_path / str(n), manifest, parts) for n in range(2)}
    assert len(digests) == 1
    heads = small_heads()
    assert write_heads(heads) == write_heads(heads)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_kmeans_of_the_installed_scikit_learn_is_read_at_any_protocol(protocol: int) -> None:
    kmeans = KMeans(3, n_init=1, random_state=0).fit(RNG.normal(size=(30, 4)))
    centroids = read_kmeans(pickle.dumps(kmeans, protocol))
    assert centroids.dtype == np.float32
    np.testing.assert_allclose(centroids, kmeans.cluster_centers_, rtol=1e-6)


@pytest.mark.parametrize("path", sorted(DATA.glob("kmeans-*.pkl")), ids=lambda path: path.stem)
def test_a_kmeans_of_another_scikit_learn_is_read(path: Path) -> None:
    centroids = read_kmeans(path.read_bytes())
    expected = json.loads((DATA / "kmeans-centroids.json").read_text())
    np.testing.assert_allclose(centroids, expected, atol=1e-6)


def test_pickles_of_several_versions_are_there() -> None:
    assert len(list(DATA.glob("kmeans-*.pkl"))) >= 3


class Poison:
    """Runs a command when unpickled by an open unpickler."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.canary}",)


def hostile_pickles(canary: Path) -> dict[str, bytes]:
    kmeans = KMeans(3, n_init=1, random_state=0).fit(RNG.normal(size=(30, 4)))
    inside = KMeans(3, n_init=1, random_state=0).fit(RNG.normal(size=(30, 4)))
    inside.cluster_centers_ = Poison(canary)
    objects = KMeans(3, n_init=1, random_state=0).fit(RNG.normal(size=(30, 4)))
    objects.cluster_centers_ = np.array([[Poison(canary)] * 4] * 3, dtype=object)
    wrong_count = KMeans(3, n_init=1, random_state=0).fit(RNG.normal(size=(30, 4)))
    wrong_count.n_clusters = 4
    not_finite = KMeans(3, n_init=1, random_state=0).fit(RNG.normal(size=(30, 4)))
    not_finite.cluster_centers_[0, 0] = np.nan
    command = f"cos\nsystem\n(S'touch {canary}'\ntR.".encode()
    return {
        "a command in place of a K-means": pickle.dumps(Poison(canary)),
        "a command by opcodes": command,
        "a command inside a K-means": pickle.dumps(inside),
        "a command inside an object array": pickle.dumps(objects),
        "eval": b"c__builtin__\neval\n(S'1'\ntR.",
        "getattr": b"cbuiltins\ngetattr\n(S'a'\nS'upper'\ntR.",
        "numpy's own loader": b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
        "a huge array by the array type": b"cnumpy\nndarray\n((I1000000000000\nttR.",
        "an object dtype": b"cnumpy\ndtype\n(S'O'\ntR.",
        "another codec": b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        "a persistent id": b"Pfile\n.",
        "a joblib-like name": b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n(tR.",
        "a plain object": pickle.dumps({"cluster_centers_": [1.0]}),
        "an unfitted K-means": pickle.dumps(KMeans(3)),
        "a wrong number of clusters": pickle.dumps(wrong_count),
        "a centroid that is not finite": pickle.dumps(not_finite),
        "two pickles' halves": pickle.dumps(kmeans)[:200],
        "nothing": b"",
    }


@pytest.mark.parametrize("name", sorted(hostile_pickles(Path("canary"))))
def test_a_hostile_pickle_is_refused_and_nothing_of_it_runs(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(ArtifactCorruptError):
        read_kmeans(hostile_pickles(canary)[name])
    assert not canary.exists()


def test_the_canary_sings_under_an_open_unpickler(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(hostile_pickles(canary)["a command in place of a K-means"])  # noqa: S301
    assert canary.exists()


@given(st.binary(max_size=300))
def test_random_bytes_are_no_kmeans(content: bytes) -> None:
    with pytest.raises(ArtifactCorruptError):
        read_kmeans(content)


def test_heads_that_hold_objects_are_not_unpickled(tmp_path: Path) -> None:
    heads, buffer, canary = small_heads(), io.BytesIO(), tmp_path / "canary"
    np.savez(
        buffer,
        weights=np.array([Poison(canary)], dtype=object),
        bias=heads.bias,
        token_weights=heads.token_weights,
        token_bias=heads.token_bias,
    )
    with pytest.raises(ArtifactCorruptError, match=HEADS):
        read_heads(buffer.getvalue(), heads.candidates, heads.centroids)
    assert not canary.exists()


def test_heads_that_unpack_beyond_the_limit_are_refused_before_unpacking() -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("weights.npy", "w", force_zip64=True) as part,
    ):
        for _ in range(257):
            part.write(bytes(1 << 20))
    heads = small_heads()
    with pytest.raises(ArtifactCorruptError, match="at most"):
        read_heads(buffer.getvalue(), heads.candidates, heads.centroids)


@pytest.mark.parametrize("name", ["weights", "bias", "token_weights", "token_bias"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_heads_with_a_number_that_is_not_finite_are_refused(name: str, bad: float) -> None:
    heads = small_heads()
    getattr(heads, name).flat[0] = bad
    with pytest.raises(ArtifactIncompatibleError, match=name):
        read_heads(write_heads(heads), heads.candidates, heads.centroids)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_heads_of_other_shapes_are_refused(clusters: int, candidates: int, dims: int) -> None:
    heads = small_heads()
    fits = (clusters, candidates, dims) == (3, 2, 4)
    names = tuple(f"m{n}" for n in range(candidates))
    centroids = np.zeros((clusters, dims), np.float32)
    if fits:
        read_heads(write_heads(heads), names, centroids)
    else:
        with pytest.raises(ArtifactIncompatibleError):
            read_heads(write_heads(heads), names, centroids)


def small_uncertainty(clusters: int = 3, candidates: int = 2, dims: int = 4) -> Uncertainty:
    return Uncertainty(
        centre=RNG.normal(size=dims).astype(np.float32),
        basis=np.eye(dims, dtype=np.float32),
        spectrum=RNG.random((candidates, dims)),
        penalty=np.full((2, candidates), np.inf),
        noise=RNG.random((2, candidates)),
        mass=np.full(candidates, 100.0),
        cluster_variance=RNG.random((2, clusters, candidates)),
        choice_weight=np.ones((2, candidates)),
        gain_x=np.array([0.0, 0.1]),
        gain_y=np.array([0.0, 0.05]),
        best_x=np.array([0.3, 0.3 + 1e-9, 0.7]),
        best_y=np.array([0.5, 0.6, 0.8]),
    )


def publish_with(content: bytes, folder: Path, name: str = UNCERTAINTY) -> str:
    manifest, parts = small_artifact()
    parts[name] = content
    return write_artifact(folder, replace(manifest, parts=describe_parts(parts)), parts)


def test_an_artifact_may_hold_its_uncertainty(tmp_path: Path) -> None:
    written = small_uncertainty()
    digest = publish_with(write_uncertainty(written), tmp_path)
    found = load_artifact(digest, fetch_from(tmp_path)).uncertainty
    assert found is not None
    for name in Uncertainty.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
        assert getattr(found, name).dtype == getattr(written, name).dtype


def test_an_artifact_without_uncertainty_is_read(published: tuple[str, Path]) -> None:
    digest, folder = published
    assert load_artifact(digest, fetch_from(folder)).uncertainty is None


def test_uncertainty_that_the_manifest_does_not_name_is_not_read(
    published: tuple[str, Path],
) -> None:
    digest, folder = published
    (folder / UNCERTAINTY).write_bytes(write_uncertainty(small_uncertainty()))
    assert load_artifact(digest, fetch_from(folder)).uncertainty is None


@pytest.mark.parametrize("eighth", range(8))
def test_uncertainty_with_a_flipped_bit_or_cut_short_is_refused(
    eighth: int, tmp_path: Path
) -> None:
    digest = publish_with(write_uncertainty(small_uncertainty()), tmp_path)
    content = (tmp_path / UNCERTAINTY).read_bytes()
    at = eighth * len(content) // 8
    flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    for broken in (flipped, content[:at]):
        (tmp_path / UNCERTAINTY).write_bytes(broken)
        with pytest.raises(ArtifactCorruptError, match=UNCERTAINTY):
            load_artifact(digest, fetch_from(tmp_path))


@pytest.mark.parametrize("shape", [(4, 2, 4), (3, 1, 4), (3, 2, 5)])
def test_uncertainty_of_other_heads_is_refused(shape: tuple[int, int, int], tmp_path: Path) -> None:
    digest = publish_with(write_uncertainty(small_uncertainty(*shape)), tmp_path)
    with pytest.raises(ArtifactIncompatibleError, match="do not fit"):
        load_artifact(digest, fetch_from(tmp_path))


def with_array(name: str, values: object) -> bytes:
    arrays = {one: getattr(small_uncertainty(), one) for one in Uncertainty.__dataclass_fields__}
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays, name: values})
    return buffer.getvalue()


def test_uncertainty_with_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ArtifactIncompatibleError, match="noise"):
        read_uncertainty(with_array("noise", np.full((2, 2), np.nan)), small_heads())


def test_uncertainty_without_an_array_is_refused() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, centre=np.zeros(4))
    with pytest.raises(ArtifactCorruptError, match=UNCERTAINTY):
        read_uncertainty(buffer.getvalue(), small_heads())


def test_uncertainty_that_holds_objects_is_not_unpickled(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = with_array("noise", np.array([Poison(canary)], dtype=object))
    with pytest.raises(ArtifactCorruptError, match=UNCERTAINTY):
        read_uncertainty(content, small_heads())
    assert not canary.exists()


def test_uncertainty_that_unpacks_beyond_the_limit_is_refused_before_unpacking() -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("basis.npy", "w", force_zip64=True) as part,
    ):
        for _ in range(65):
            part.write(bytes(1 << 20))
    with pytest.raises(ArtifactCorruptError, match="at most"):
        read_uncertainty(buffer.getvalue(), small_heads())


@pytest.mark.parametrize(
    ("what", "offset", "value"),
    [("a later zip", 6, 255), ("encrypted", 8, 1), ("patched", 8, 32), ("packed oddly", 10, 99)],
)
def test_an_archive_that_zipfile_cannot_read_is_refused(what: str, offset: int, value: int) -> None:
    content = bytearray(write_uncertainty(small_uncertainty()))
    content[content.index(b"PK\x01\x02") + offset] = value
    with pytest.raises(ArtifactCorruptError, match=UNCERTAINTY):
        read_uncertainty(bytes(content), small_heads())


def small_golden() -> Golden:
    return make_golden(lambda text: np.full(4, len(text) / 100, np.float32), small_heads())


def test_an_artifact_may_hold_golden_texts(tmp_path: Path) -> None:
    written = small_golden()
    digest = publish_with(written.to_bytes(), tmp_path, GOLDEN)
    artifact = load_artifact(digest, fetch_from(tmp_path))
    assert artifact.golden == written
    assert artifact.uncertainty is None


def test_an_artifact_may_hold_both(tmp_path: Path) -> None:
    manifest, parts = small_artifact()
    parts |= {
        UNCERTAINTY: write_uncertainty(small_uncertainty()),
        GOLDEN: small_golden().to_bytes(),
    }
    digest = write_artifact(tmp_path, replace(manifest, parts=describe_parts(parts)), parts)
    artifact = load_artifact(digest, fetch_from(tmp_path))
    assert artifact.golden is not None
    assert artifact.uncertainty is not None


def test_golden_texts_that_the_manifest_does_not_name_are_not_read(
    published: tuple[str, Path],
) -> None:
    digest, folder = published
    (folder / GOLDEN).write_bytes(small_golden().to_bytes())
    assert load_artifact(digest, fetch_from(folder)).golden is None


@pytest.mark.parametrize("eighth", range(8))
def test_golden_texts_with_a_flipped_bit_or_cut_short_are_refused(
    eighth: int, tmp_path: Path
) -> None:
    digest = publish_with(small_golden().to_bytes(), tmp_path, GOLDEN)
    content = (tmp_path / GOLDEN).read_bytes()
    at = eighth * len(content) // 8
    flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    for broken in (flipped, content[:at]):
        (tmp_path / GOLDEN).write_bytes(broken)
        with pytest.raises(ArtifactCorruptError, match=GOLDEN):
            load_artifact(digest, fetch_from(tmp_path))


def test_golden_texts_that_are_damaged_under_a_right_digest_are_refused(tmp_path: Path) -> None:
    digest = publish_with(b'{"texts": []}', tmp_path, GOLDEN)
    with pytest.raises(ArtifactCorruptError, match=GOLDEN):
        load_artifact(digest, fetch_from(tmp_path))


@pytest.mark.parametrize(
    ("old", "new"), [('"cluster": 0', '"cluster": 3'), ('"a": ', '"x": '), ('"b": ', '"c": ')]
)
def test_golden_texts_of_another_artifact_are_refused(old: str, new: str, tmp_path: Path) -> None:
    text = small_golden().to_bytes().decode()
    text = text.replace('"cluster": 1', '"cluster": 0').replace('"cluster": 2', '"cluster": 0')
    assert old in text
    digest = publish_with(text.replace(old, new).encode(), tmp_path, GOLDEN)
    with pytest.raises(ArtifactIncompatibleError, match="golden texts and heads do not fit"):
        load_artifact(digest, fetch_from(tmp_path))


def test_a_large_file_of_golden_texts_is_refused_before_parsing(tmp_path: Path) -> None:
    digest = publish_with(b" " * (4 << 20) + small_golden().to_bytes(), tmp_path, GOLDEN)
    with pytest.raises(ArtifactCorruptError, match="at most"):
        load_artifact(digest, fetch_from(tmp_path))
