"""Read a pickled scikit-learn K-means without scikit-learn, and without running anything in it."""

import io
import pickle
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from regroup.errors import ArtifactCorruptError

KMEANS = "kmeans.pkl"
"""Its name among the parts of an artifact."""

MAX_BYTES = 16 << 20


def read_kmeans(content: bytes) -> NDArray[np.float32]:
    """Read the centroids, (clusters, dims), out of a pickled scikit-learn K-means.

    scikit-learn is neither needed nor imported, and nothing in the pickle is run: its class is
    mapped to a stand-in, numpy's array constructors to checked ones, and any other name is
    refused. Pickles of scikit-learn 1.3 and later, and of numpy 1 and 2, are read.

    Raises:
        ArtifactCorruptError: anything but such a K-means.
    """
    if len(content) > MAX_BYTES:
        raise ArtifactCorruptError(
            f"{KMEANS} has {len(content)} bytes, at most {MAX_BYTES} are read"
        )
    try:
        kmeans = _ClosedUnpickler(io.BytesIO(content)).load()
    except ArtifactCorruptError:
        raise
    except Exception as error:  # a hostile pickle may raise anything from the C unpickler
        raise ArtifactCorruptError(f"{KMEANS} is not a pickled K-means") from error
    if not isinstance(kmeans, _KMeans) or kmeans.centroids is None:
        raise ArtifactCorruptError(f"{KMEANS} holds no K-means")
    return kmeans.centroids


class _KMeans:
    """What a pickled scikit-learn K-means becomes: its centroids."""

    centroids: NDArray[np.float32] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise ArtifactCorruptError(f"{KMEANS} holds no fitted K-means")
        centroids = state.get("cluster_centers_")
        if not isinstance(centroids, np.ndarray) or centroids.ndim != 2:
            raise ArtifactCorruptError(f"{KMEANS} holds no centroids")
        if state.get("n_clusters") != len(centroids) or not np.isfinite(centroids).all():
            raise ArtifactCorruptError(f"{KMEANS} holds broken centroids")
        self.centroids = np.ascontiguousarray(centroids, np.float32)


class _ArrayType:
    """Stands for `numpy.ndarray` as an argument, and cannot make one."""


def _dtype(kind: str, *options: bool) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(kind, *options)
    if dtype.kind not in "fiub":
        raise ArtifactCorruptError(f"{KMEANS} holds an array of {dtype}")
    return dtype


def _reconstruct(kind: object, shape: tuple[int, ...], code: bytes) -> NDArray[Any]:
    if kind is not _ArrayType or shape != (0,) or code != b"b":
        raise ArtifactCorruptError(f"{KMEANS} holds an array of an unknown kind")
    return np.empty((0,), np.int8)


def _from_buffer(
    buffer: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: str
) -> NDArray[Any]:
    flat = np.frombuffer(buffer, dtype=dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C").copy()


def _scalar(dtype: np.dtype[Any], content: bytes) -> object:
    return np.frombuffer(content, dtype=dtype)[0]


def _encode(text: str, codec: str) -> bytes:
    if codec != "latin1":
        raise ArtifactCorruptError(f"{KMEANS} names the codec {codec!r}")
    return text.encode("latin1")


class _ClosedUnpickler(pickle.Unpickler):
    """An unpickler for which nothing exists but K-means and arrays of numbers."""

    _known: ClassVar[Mapping[tuple[str, str], object]] = {
        ("sklearn.cluster._kmeans", "KMeans"): _KMeans,
        ("numpy", "ndarray"): _ArrayType,
        ("numpy", "dtype"): _dtype,
        ("_codecs", "encode"): _encode,
        # numpy 1 says core, numpy 2 says _core.
        **{
            (f"numpy.{core}.{module}", name): stand_in
            for core in ("core", "_core")
            for module, name, stand_in in (
                ("multiarray", "_reconstruct", _reconstruct),
                ("multiarray", "scalar", _scalar),
                ("numeric", "_frombuffer", _from_buffer),
            )
        },
    }

    def find_class(self, module: str, name: str) -> object:
        try:
            return self._known[(module, name)]
        except KeyError:
            raise ArtifactCorruptError(
                f"{KMEANS} asks for {module}.{name}, which no K-means needs: refused"
            ) from None

    def persistent_load(self, pid: object) -> object:
        raise ArtifactCorruptError(f"{KMEANS} refers to something outside itself: refused")
