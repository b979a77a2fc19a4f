"""Embedding many texts: each once, kept between runs, told as they are done."""

import resource
import sqlite3
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regroup.errors import DataError
from training.embeddings import embed

DIMS = 3


def expected(text: str) -> NDArray[np.float32]:
    return np.array([len(text), sum(map(ord, text)) % 997, 0.1], np.float32)


class CountingEncoder:
    """Encodes until `fails_after` texts, and remembers which it was asked for."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.asked: list[str] = []
        self._fails_after = fails_after
        self._lock = threading.Lock()

    def encode(self, text: str) -> NDArray[np.float32]:
        with self._lock:
            if self._fails_after is not None and len(self.asked) >= self._fails_after:
                raise InterruptedError("pulled the plug")
            self.asked.append(text)
        return expected(text)


def assert_embedded(found: NDArray[np.float32], texts: Sequence[str]) -> None:
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.stack([expected(text) for text in texts]))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "made" / "cache.sqlite"


def test_equal_texts_are_encoded_once(cache: Path) -> None:
    encoder, texts = CountingEncoder(), ["egg", "ham", "egg", "", "ham", "egg"]
    assert_embedded(embed(texts, encoder, cache_path=cache), texts)
    assert sorted(encoder.asked) == ["", "egg", "ham"]


def test_a_second_run_encodes_nothing(cache: Path) -> None:
    texts = ["egg", "卵", "ham"]
    embed(texts, CountingEncoder(), cache_path=cache)
    again = CountingEncoder()
    assert_embedded(embed(texts[::-1], again, cache_path=cache), texts[::-1])
    assert again.asked == []


def test_only_new_texts_are_encoded(cache: Path) -> None:
    embed(["egg", "ham"], CountingEncoder(), cache_path=cache)
    again = CountingEncoder()
    embed(["bread", "ham"], again, cache_path=cache)
    assert again.asked == ["bread"]


MAPPED, UNMAPPED = 0, 1_000_000


@pytest.mark.parametrize("map_above_bytes", [MAPPED, UNMAPPED])
def test_a_mapped_result_is_as_one_in_memory(map_above_bytes: int, cache: Path) -> None:
    texts = [f"text {n % 700}" for n in range(1_500)]
    found = embed(texts, CountingEncoder(), cache_path=cache, map_above_bytes=map_above_bytes)
    assert_embedded(found, texts)
    assert type(found) is np.ndarray
    assert found.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0.0


def test_a_mapped_result_leaves_nothing_behind_and_outlives_the_cache(cache: Path) -> None:
    texts = [f"text {n}" for n in range(600)]
    found = embed(texts, CountingEncoder(), cache_path=cache, map_above_bytes=MAPPED)
    assert list(cache.parent.iterdir()) == [cache]
    cache.unlink()
    cache.parent.rmdir()
    assert_embedded(found, texts)


class WideEncoder:
    """Gives embeddings that weigh far more than their texts."""

    def encode(self, text: str) -> NDArray[np.float32]:
        return np.full(1_000, len(text), np.float32)


def test_a_mapped_result_is_never_held_in_memory(cache: Path) -> None:
    texts = [str(n) for n in range(4_000)]
    embed(texts, WideEncoder(), cache_path=cache)
    tracemalloc.start()
    try:
        found = embed(texts, WideEncoder(), cache_path=cache, map_above_bytes=MAPPED)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.shape == (4_000, 1_000)
    assert peak_bytes < found.nbytes / 2


def test_of_no_texts_there_are_no_embeddings(cache: Path) -> None:
    assert embed([], CountingEncoder(), cache_path=cache).shape[0] == 0


def test_runs_that_share_a_cache_do_not_disturb_each_other(cache: Path) -> None:
    texts = [f"text {n}" for n in range(900)]
    each = [texts, texts[::-1], texts[300:] + texts[:300]]
    with ThreadPoolExecutor(len(each)) as pool:
        runs = [pool.submit(embed, one, CountingEncoder(), cache_path=cache) for one in each]
        for one, run in zip(each, runs, strict=True):
            assert_embedded(run.result(), one)
    again = CountingEncoder()
    assert_embedded(embed(texts, again, cache_path=cache), texts)
    assert again.asked == []


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Let no file grow larger, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_without_room_for_the_result_is_named(cache: Path) -> None:
    texts = [f"text {n}" for n in range(600)]
    embed(texts, CountingEncoder(), cache_path=cache)
    with (
        files_of_at_most(1_000),
        pytest.raises(
            DataError, match=r"made cannot hold the embeddings of 600 texts .*: make room"
        ),
    ):
        embed(texts, CountingEncoder(), cache_path=cache, map_above_bytes=MAPPED)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
@given(st.lists(st.text("ab", max_size=3), min_size=1, max_size=30))
def test_results_follow_the_texts_whatever_is_known(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / "shared.sqlite"  # fuller from example to example
    assert_embedded(embed(texts, CountingEncoder(), cache_path=path), texts)


def test_an_interrupted_run_keeps_what_was_committed_and_goes_on(cache: Path) -> None:
    texts = [f"text {n}" for n in range(600)]
    with pytest.raises(InterruptedError):
        embed(texts, CountingEncoder(fails_after=520), cache_path=cache)
    again = CountingEncoder()
    assert_embedded(embed(texts, again, cache_path=cache), texts)
    assert again.asked
    assert len(again.asked) < 100
    assert set(again.asked) <= set(texts[512:])


def test_progress_only_grows_and_ends_at_all_of_the_texts(cache: Path) -> None:
    told: list[tuple[int, int]] = []
    texts = [f"text {n}" for n in range(300)] * 2
    embed(texts[:10], CountingEncoder(), cache_path=cache)
    embed(
        texts, CountingEncoder(), cache_path=cache, progress=lambda *done_all: told.append(done_all)
    )
    assert told[0] == (10, 300)
    assert told[-1] == (300, 300)
    assert told == sorted(told)


def test_progress_ends_at_all_where_all_was_known(cache: Path) -> None:
    told: list[tuple[int, int]] = []
    embed(["egg"], CountingEncoder(), cache_path=cache)
    embed(
        ["egg"],
        CountingEncoder(),
        cache_path=cache,
        progress=lambda *done_all: told.append(done_all),
    )
    assert told == [(1, 1)]


def not_a_database(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at" * 50)


def torn(path: Path) -> None:
    embed([f"text {n}" for n in range(300)], CountingEncoder(), cache_path=path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def another_table(path: Path) -> None:
    with sqlite3.connect(path) as cache:
        cache.execute("CREATE TABLE embeddings (word TEXT)")
    cache.close()


def a_cut_vector(path: Path) -> None:
    embed(["egg"], CountingEncoder(), cache_path=path)
    with sqlite3.connect(path) as cache:
        cache.execute("UPDATE embeddings SET vector = x'0102030405'")
    cache.close()


def an_empty_vector(path: Path) -> None:
    embed(["egg"], CountingEncoder(), cache_path=path)
    with sqlite3.connect(path) as cache:
        cache.execute("UPDATE embeddings SET vector = x''")
    cache.close()


def no_vector(path: Path) -> None:
    embed(["egg"], CountingEncoder(), cache_path=path)
    with sqlite3.connect(path) as cache:
        cache.execute("UPDATE embeddings SET vector = NULL")
    cache.close()


def a_longer_vector(path: Path) -> None:
    embed(["egg"], CountingEncoder(), cache_path=path)
    with sqlite3.connect(path) as cache:
        cache.execute("UPDATE embeddings SET vector = zeroblob(16)")
    cache.close()


@pytest.mark.parametrize(
    "damage",
    [
        not_a_database,
        torn,
        another_table,
        a_cut_vector,
        an_empty_vector,
        no_vector,
        a_longer_vector,
        Path.mkdir,
    ],
)
def test_a_broken_cache_is_named_with_the_cure(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "broken.sqlite"
    damage(path)
    with pytest.raises(DataError, match=r"broken\.sqlite cannot be used .* delete it"):
        embed(
            ["egg", "ham", *(f"text {n}" for n in range(300))], CountingEncoder(), cache_path=path
        )


def test_an_error_of_the_encoder_is_not_blamed_on_the_cache(cache: Path) -> None:
    with pytest.raises(InterruptedError):
        embed(["egg"], CountingEncoder(fails_after=0), cache_path=cache)


def test_a_cache_of_empty_vectors_alone_is_broken_too(tmp_path: Path) -> None:
    path = tmp_path / "broken.sqlite"
    an_empty_vector(path)
    with pytest.raises(DataError, match=r"broken\.sqlite cannot be used .* delete it"):
        embed(["egg"], CountingEncoder(), cache_path=path)
