"""Embed texts as the classifier will: one at a time, with the very file that is served.

Dynamic int8 quantisation scales by what is in the batch, so a batch of two gives other
embeddings than two batches of one. Several texts run side by side instead, each on its own.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regroup.errors import DataError
from regroup.ports import Encoder

type Progress = Callable[[int, int], None]
"""Called with the number of texts done and the number of all."""

_COMMIT_EVERY = 256


def embed(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    cache_path: Path,
    progress: Progress = lambda _done, _all: None,
) -> NDArray[np.float32]:
    """Return the (texts, dims) embeddings, from the cache where they are known.

    Args:
        texts: queries; equal ones are embedded once.
        encoder: must belong to `cache_path`, which is named after the encoder's digest.
        cache_path: an SQLite file, made when missing; an interrupted run goes on from it.
        progress: told as texts are done.

    Raises:
        DataError: `cache_path` is no such file, damaged, or in use by another run.
    """
    try:
        return _embed(texts, encoder, cache_path, progress)
    except sqlite3.Error as error:
        raise DataError(
            f"{cache_path} cannot be used as a cache of embeddings ({error}): if no other run has "
            "it open, delete it, and all is embedded again"
        ) from error


def _embed(
    texts: Sequence[str], encoder: Encoder, cache_path: Path, progress: Progress
) -> NDArray[np.float32]:
    keys = [sha256(text.encode()).digest() for text in texts]
    cache_path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(cache_path)) as cache:
        cache.execute("CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, vector BLOB)")
        known = _read(cache, set(keys))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        progress(len(known), len(known) + len(missing))
        for start in range(0, len(missing), _COMMIT_EVERY):
            chunk = list(missing.items())[start : start + _COMMIT_EVERY]
            vectors = list(_encode_side_by_side(encoder, [text for _, text in chunk]))
            fresh = {key: vector for (key, _), vector in zip(chunk, vectors, strict=True)}
            with cache:
                cache.executemany(
                    "INSERT OR REPLACE INTO embeddings VALUES (?, ?)",
                    [(key, vector.tobytes()) for key, vector in fresh.items()],
                )
            known |= fresh
            progress(len(known), len(set(keys)))
    if len({vector.shape for vector in known.values()}) > 1:
        raise sqlite3.DataError("its embeddings are of several lengths")
    return np.stack([known[key] for key in keys])


def _encode_side_by_side(encoder: Encoder, texts: list[str]) -> Iterable[NDArray[np.float32]]:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(encoder.encode, texts)


def _read(cache: sqlite3.Connection, keys: set[bytes]) -> dict[bytes, NDArray[np.float32]]:
    found: dict[bytes, NDArray[np.float32]] = {}
    for key in keys:
        row = cache.execute("SELECT vector FROM embeddings WHERE key = ?", (key,)).fetchone()
        if row is not None:
            if len(row[0]) % np.float32().nbytes:
                raise sqlite3.DataError("an embedding in it is cut short")
            found[key] = np.frombuffer(row[0], np.float32)
    return found
