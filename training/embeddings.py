"""Embed texts as the classifier will: one at a time, with the very file that is served.

Dynamic int8 quantisation scales by what is in the batch, so a batch of two gives other
embeddings than two batches of one. Several texts run side by side instead, each on its own.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regroup.errors import DataError
from regroup.ports import Encoder

type Progress = Callable[[int, int], None]
"""Called with the number of texts done and the number of all."""

MAP_ABOVE_BYTES = 64_000_000
"""Embeddings larger than this stay in a file, mapped into memory."""

_COMMIT_EVERY = 256
_LOOK_UP = 512
_KEY_BYTES = sha256().digest_size
_NUMBER_BYTES = np.float32().nbytes
_OTHER_RUN_SECONDS = 60.0


def embed(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    cache_path: Path,
    progress: Progress = lambda _done, _all: None,
    map_above_bytes: int = MAP_ABOVE_BYTES,
) -> NDArray[np.float32]:
    """Return the (texts, dims) embeddings, from the cache where they are known; read-only.

    Args:
        texts: queries; equal ones are embedded once.
        encoder: must belong to `cache_path`, which is named after the encoder's digest.
        cache_path: an SQLite file, made when missing; an interrupted run goes on from it.
        progress: told as texts are done.
        map_above_bytes: a larger result is a map of a file beside the cache.

    Raises:
        DataError: `cache_path` is no such file, damaged, or in use by another run, or its folder
            has no room for the result.
    """
    try:
        return _embed(texts, encoder, cache_path, progress, map_above_bytes)
    except sqlite3.Error as error:
        raise DataError(
            f"{cache_path} cannot be used as a cache of embeddings ({error}): if no other run has "
            "it open, delete it, and all is embedded again"
        ) from error


def _embed(
    texts: Sequence[str],
    encoder: Encoder,
    cache_path: Path,
    progress: Progress,
    map_above_bytes: int,
) -> NDArray[np.float32]:
    keys = _keys(texts)
    cache_path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(cache_path, timeout=_OTHER_RUN_SECONDS)) as cache:
        cache.execute("CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, vector BLOB)")
        distinct, missing = _find_missing(cache, keys)
        done = distinct - len(missing)
        progress(done, distinct)
        for start in range(0, len(missing), _COMMIT_EVERY):
            rows = missing[start : start + _COMMIT_EVERY].tolist()
            vectors = list(_encode_side_by_side(encoder, [texts[row] for row in rows]))
            with cache:
                cache.executemany(
                    "INSERT OR REPLACE INTO embeddings VALUES (?, ?)",
                    [
                        (keys[row].tobytes(), vector.tobytes())
                        for row, vector in zip(rows, vectors, strict=True)
                    ],
                )
            done += len(rows)
            progress(done, distinct)
        return _gather(cache, keys, cache_path.parent, map_above_bytes)


def _keys(texts: Sequence[str]) -> NDArray[np.void]:
    """Return the (texts,) digests; a million of them as objects would weigh three times as much."""
    digests = bytearray()
    for text in texts:
        digests += sha256(text.encode()).digest()
    return np.frombuffer(digests, f"V{_KEY_BYTES}")


def _find_missing(
    cache: sqlite3.Connection, keys: NDArray[np.void]
) -> tuple[int, NDArray[np.intp]]:
    """Return how many keys differ, and the index of the first text of each unknown one."""
    ordered, first = np.unique(keys, return_index=True)
    known: list[bool] = []
    for part in _parts(ordered):
        found = {key for (key,) in _select(cache, "key", part)}
        known += [key in found for key in part]
    return len(ordered), np.sort(first[~np.array(known, np.bool_)])


def _gather(
    cache: sqlite3.Connection, keys: NDArray[np.void], folder: Path, map_above_bytes: int
) -> NDArray[np.float32]:
    """Return the (keys, dims) embeddings in the order of the keys."""
    try:
        # On disk the file has no name: its room is free again once nobody holds the map, even
        # after a crash. It is written rather than filled through a map, because a disk that
        # fills up then raises an error, and does not end the process.
        # A limit of 0 bytes would be none.
        with SpooledTemporaryFile(max(1, map_above_bytes), dir=str(folder)) as file:
            dims = 0
            for part in _parts(keys):
                vectors = _vectors(cache, part)
                dims = dims or len(vectors[0]) // _NUMBER_BYTES
                if not dims or any(len(vector) != dims * _NUMBER_BYTES for vector in vectors):
                    raise sqlite3.DataError("its embeddings are cut short or of several lengths")
                file.write(b"".join(vectors))
            content = _content(file, map_above_bytes)
    except OSError as error:
        raise DataError(
            f"{folder} cannot hold the embeddings of {len(keys)} texts ({error}): make room there"
        ) from error
    return np.frombuffer(content, np.float32).reshape(len(keys), dims)


def _content(file: SpooledTemporaryFile[bytes], map_above_bytes: int) -> bytes | mmap:
    if file.tell() <= map_above_bytes:
        file.seek(0)
        return file.read()
    descriptor = file.fileno()
    file.flush()
    return mmap(descriptor, 0, access=ACCESS_READ)


def _vectors(cache: sqlite3.Connection, keys: list[bytes]) -> list[bytes]:
    found: dict[bytes, object] = dict(_select(cache, "key, vector", keys))
    vectors = [vector for key in keys if isinstance(vector := found.get(key), bytes)]
    if len(vectors) < len(keys):
        raise sqlite3.DataError("embeddings that were in it are missing")
    return vectors


def _parts(keys: NDArray[np.void]) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), _LOOK_UP):
        yield keys[start : start + _LOOK_UP].tolist()


def _select(cache: sqlite3.Connection, columns: str, keys: list[bytes]) -> list[Any]:
    # All at once: an open cursor would keep other runs from writing.
    marks = ",".join("?" * len(keys))
    query = f"SELECT {columns} FROM embeddings WHERE key IN ({marks})"  # noqa: S608
    return cache.execute(query, keys).fetchall()


def _encode_side_by_side(encoder: Encoder, texts: list[str]) -> Iterable[NDArray[np.float32]]:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(encoder.encode, texts)
