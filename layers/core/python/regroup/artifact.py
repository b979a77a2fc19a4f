"""Write and read an artifact: one published router version, addressed by its manifest's digest.

An artifact is a folder of parts and a `manifest.json` that names each part with its size and
SHA-256. Nothing is parsed before its digest holds, and the one pickle among the parts, the
scikit-learn K-means, is read by an unpickler that knows that class and nothing else.
"""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from dataclasses import fields as fields_of
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regroup import kmeans_file
from regroup.domain.golden import Golden, read_golden
from regroup.domain.prediction import Heads
from regroup.domain.uncertainty import Uncertainty
from regroup.errors import ArtifactCorruptError, ArtifactIncompatibleError
from regroup.kmeans_file import KMEANS, read_kmeans

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA = 1
MANIFEST = "manifest.json"
ENCODER, TOKENIZER, HEADS = "encoder.onnx", "tokenizer.json", "heads.npz"
PARTS = (ENCODER, TOKENIZER, KMEANS, HEADS)
"""What every artifact holds."""

UNCERTAINTY, GOLDEN = "uncertainty.npz", "golden.json"
"""What an artifact may hold besides: how sure its router is, and what it says of golden texts."""

_MIB = 1 << 20
_MAX_BYTES = {
    MANIFEST: 4 * _MIB,
    KMEANS: kmeans_file.MAX_BYTES,
    HEADS: 256 * _MIB,
    TOKENIZER: 64 * _MIB,
    UNCERTAINTY: 64 * _MIB,
    GOLDEN: 4 * _MIB,
}
_MAX_BYTES_DEFAULT = 1024 * _MIB


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an artifact."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """How text becomes an embedding: all that serving must do as training did."""

    name: str
    pooling: str
    prefix: str
    max_tokens: int
    dims: int
    tokenizer_sha256: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A named trade-off: how many units of reward one US dollar must buy."""

    cost_weight: float
    min_margin: float | None = None
    """The lead another candidate needs over the default one; None: as the manifest says."""
    reward_share: float | None = None
    """Reward kept, as a share of the best single candidate's, on held-out folds."""
    reward_share_low: float | None = None
    """Lower end of its 95 % interval, as are the others."""
    reward_share_high: float | None = None
    cost_share: float | None = None
    """Cost paid, as a share of the best single candidate's, on held-out folds."""
    cost_share_low: float | None = None
    cost_share_high: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether routing pays on held-out rows, in one word and one sentence."""

    route: bool
    sentence: str
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True, slots=True)
class AgainstChampion:
    """What the router gains over the champion of its day, on the same rows."""

    champion: str
    """The champion's digest."""
    gain: float
    """Mean reward per row, this router's minus the champion's."""
    gain_low: float
    """Lower end of its 95 % interval."""
    gain_high: float
    rows: int


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """What one cluster looked like in training, for explanations and drift alarms."""

    share: float
    distance_quantiles: Mapping[str, float]
    top_terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact is, where it came from and what was measured."""

    parts: Mapping[str, Part]
    candidates: tuple[str, ...]
    encoder: EncoderRecord
    query_builder: int
    n_clusters: int
    silhouette: float
    clusters: tuple[ClusterRecord, ...]
    data_sha256: str
    router: str
    verdict: Verdict
    default_candidate: str
    min_margin: float
    presets: Mapping[str, Preset]
    metrics: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, str] = field(default_factory=dict)
    against_champion: AgainstChampion | None = None
    """None: nothing was live, or nobody compared."""
    forced: str | None = None
    """The reason a person gave for publishing it against the gate."""
    schema: int = SCHEMA

    def to_bytes(self) -> bytes:
        """Serialise; the SHA-256 of these bytes is the artifact's digest."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified artifact, ready to build an encoder from and to predict with."""

    digest: str
    manifest: Manifest
    heads: Heads
    encoder_onnx: bytes
    tokenizer: bytes
    uncertainty: Uncertainty | None = None
    """None where nothing is known of the router's errors."""
    golden: Golden | None = None
    """None where training noted none: nothing tells then whether this machine predicts alike."""


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of `content` in hex."""
    return sha256(content).hexdigest()


def read_manifest(content: bytes, digest: str) -> Manifest:
    """Check the digest, then the schema, then the fields of a manifest.

    Raises:
        ArtifactCorruptError: the bytes are not those the digest names, or not a manifest.
        ArtifactIncompatibleError: a newer schema than this reader knows.
    """
    _check_size(MANIFEST, len(content))
    if digest_of(content) != digest:
        raise ArtifactCorruptError(f"{MANIFEST} does not have the digest {digest}")
    try:
        fields = json.loads(content)
        schema = fields["schema"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ArtifactCorruptError(f"{MANIFEST} is not a manifest") from error
    if schema != SCHEMA:
        raise ArtifactIncompatibleError(
            f"the artifact has schema {schema!r}, this reader knows {SCHEMA}: "
            "publish with the version of regroup that is deployed, or deploy a newer one"
        )
    try:
        return _manifest_from(fields)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ArtifactCorruptError(f"{MANIFEST} lacks or mistypes a field: {error!r}") from error


def read_part(manifest: Manifest, name: str, content: bytes) -> bytes:
    """Return `content` once its size and digest are those the manifest promises."""
    part = manifest.parts.get(name)
    if part is None:
        raise ArtifactCorruptError(f"the manifest names no part {name}")
    _check_size(name, len(content))
    if len(content) != part.size_bytes:
        raise ArtifactCorruptError(
            f"{name} has {len(content)} bytes, the manifest promises {part.size_bytes}"
        )
    if digest_of(content) != part.sha256:
        raise ArtifactCorruptError(f"{name} does not have the digest the manifest promises")
    return content


def part_names(manifest: Manifest) -> tuple[str, ...]:
    """Return the parts of an artifact that a reader needs."""
    return (*PARTS, *(name for name in (UNCERTAINTY, GOLDEN) if name in manifest.parts))


def load_artifact(digest: str, fetch: Callable[[str], bytes]) -> Artifact:
    """Fetch, verify and parse an artifact.

    Args:
        digest: the artifact's digest, from the pointer.
        fetch: returns the bytes of a file of the artifact by its name.

    Raises:
        ArtifactError: the subclass says what is wrong; nothing of the artifact was run.
    """
    manifest = read_manifest(fetch(MANIFEST), digest)
    parts = {name: read_part(manifest, name, fetch(name)) for name in part_names(manifest)}
    if digest_of(parts[TOKENIZER]) != manifest.encoder.tokenizer_sha256:
        raise ArtifactIncompatibleError("the tokenizer is not the one the encoder was trained with")
    heads = read_heads(parts[HEADS], manifest.candidates, read_kmeans(parts[KMEANS]))
    if len(heads.centroids) != manifest.n_clusters or heads.dims != manifest.encoder.dims:
        raise ArtifactIncompatibleError("K-means, heads and encoder do not fit each other")
    uncertainty = golden = None
    if UNCERTAINTY in parts:
        uncertainty = read_uncertainty(parts[UNCERTAINTY], heads)
    if GOLDEN in parts:
        golden = read_golden(parts[GOLDEN], manifest.candidates, manifest.n_clusters)
    return Artifact(digest, manifest, heads, parts[ENCODER], parts[TOKENIZER], uncertainty, golden)


def write_artifact(folder: Path, manifest: Manifest, parts: Mapping[str, bytes]) -> str:
    """Write the parts and, last, the manifest that names them; return the artifact's digest.

    A folder whose manifest is missing is not an artifact: an interrupted write is never read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for name, content in parts.items():
        (folder / name).write_bytes(content)
    content = manifest.to_bytes()
    waiting = folder / f"{MANIFEST}.part"
    waiting.write_bytes(content)
    waiting.replace(folder / MANIFEST)
    return digest_of(content)


def describe_parts(parts: Mapping[str, bytes]) -> dict[str, Part]:
    """Return what a manifest says of these parts."""
    return {name: Part(digest_of(content), len(content)) for name, content in parts.items()}


def write_heads(heads: Heads) -> bytes:
    """Serialise the affine maps as `heads.npz`; centroids travel in `kmeans.pkl`."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        weights=heads.weights,
        bias=heads.bias,
        token_weights=heads.token_weights,
        token_bias=heads.token_bias,
    )
    return buffer.getvalue()


def read_heads(
    content: bytes, candidates: tuple[str, ...], centroids: NDArray[np.float32]
) -> Heads:
    """Parse `heads.npz` around the centroids; never unpickles.

    Raises:
        ArtifactIncompatibleError: shapes do not fit or numbers are not finite.
        ArtifactCorruptError: not such a file, or larger unpacked than allowed.
    """
    names = ("weights", "bias", "token_weights", "token_bias")
    found = _read_arrays(HEADS, content, dict.fromkeys(names, np.float32))
    return Heads(candidates=candidates, centroids=centroids, **found)


def write_uncertainty(uncertainty: Uncertainty) -> bytes:
    """Serialise as `uncertainty.npz`."""
    buffer = io.BytesIO()
    np.savez(buffer, **{one.name: getattr(uncertainty, one.name) for one in fields_of(uncertainty)})
    return buffer.getvalue()


def read_uncertainty(content: bytes, heads: Heads) -> Uncertainty:
    """Parse `uncertainty.npz` beside the heads that it speaks of; never unpickles.

    Raises:
        ArtifactIncompatibleError: shapes do not fit or numbers are none that a fit can give.
        ArtifactCorruptError: not such a file, or larger unpacked than allowed.
    """
    kinds = {
        one.name: np.float32 if one.name in ("centre", "basis") else np.float64
        for one in fields_of(Uncertainty)
    }
    uncertainty = Uncertainty(**_read_arrays(UNCERTAINTY, content, kinds))
    described = (*uncertainty.cluster_variance.shape[1:], *uncertainty.centre.shape)
    if described != (len(heads.centroids), len(heads.candidates), heads.dims):
        raise ArtifactIncompatibleError("uncertainty and heads do not fit each other")
    return uncertainty


def _read_arrays(
    part: str, content: bytes, kinds: Mapping[str, type[np.floating]]
) -> dict[str, NDArray[Any]]:
    """Return the named arrays of an npz file as numbers of these kinds."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_size(part, sum(item.file_size for item in archive.infolist()))
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name], kind) for name, kind in kinds.items()}
    except ArtifactCorruptError:
        raise
    except Exception as error:  # a broken archive may raise anything from zipfile and zlib
        raise ArtifactCorruptError(f"{part} does not hold the arrays it should") from error


def _check_size(name: str, size_bytes: int) -> None:
    limit = _MAX_BYTES.get(name, _MAX_BYTES_DEFAULT)
    if size_bytes > limit:
        raise ArtifactCorruptError(f"{name} has {size_bytes} bytes, at most {limit} are read")


def _manifest_from(fields: dict[str, Any]) -> Manifest:
    """Build a manifest from parsed JSON; fields this version does not know are ignored."""

    def pick[T: "DataclassInstance"](kind: type[T], values: dict[str, Any]) -> T:
        known = [one.name for one in fields_of(kind)]
        return kind(**{name: values[name] for name in known if name in values})

    nested = {
        "parts": {name: pick(Part, part) for name, part in fields["parts"].items()},
        "candidates": tuple(fields["candidates"]),
        "encoder": pick(EncoderRecord, fields["encoder"]),
        "clusters": tuple(
            pick(ClusterRecord, {**one, "top_terms": tuple(one["top_terms"])})
            for one in fields["clusters"]
        ),
        "verdict": pick(Verdict, fields["verdict"]),
        "presets": {name: pick(Preset, one) for name, one in fields["presets"].items()},
    }
    if fields.get("against_champion") is not None:
        nested["against_champion"] = pick(AgainstChampion, fields["against_champion"])
    manifest = pick(Manifest, {**fields, **nested})
    if manifest.default_candidate not in manifest.candidates:
        raise ValueError("default_candidate is not among the candidates")
    margins = [preset.min_margin for preset in manifest.presets.values()]
    if not all(margin >= 0 for margin in (manifest.min_margin, *margins) if margin is not None):
        raise ValueError("min_margin is negative")
    return manifest
