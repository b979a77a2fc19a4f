"""Embedding many texts: each once, kept between runs, told as they are done."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
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


def a_longer_vector(path: Path) -> None:
    embed(["egg"], CountingEncoder(), cache_path=path)
    with sqlite3.connect(path) as cache:
        cache.execute("UPDATE embeddings SET vector = zeroblob(16)")
    cache.close()


@pytest.mark.parametrize(
    "damage", [not_a_database, torn, another_table, a_cut_vector, a_longer_vector, Path.mkdir]
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
