"""Work in turn, side by side and beside the requests."""

import threading
from threading import Barrier, Event, Thread

import pytest

from classifier.runners import Runner, Work, beside, in_turn, side_by_side

PATIENCE_SECONDS = 10.0


@pytest.mark.parametrize("run", [in_turn, side_by_side])
@pytest.mark.parametrize("number", [0, 1, 4])
def test_all_is_done_exactly_once_and_no_thread_is_left(run: Runner, number: int) -> None:
    done: list[int] = []
    before = threading.active_count()

    run([lambda n=n: done.append(n) for n in range(number)])  # type: ignore[misc]

    assert sorted(done) == list(range(number))
    assert threading.active_count() == before


def test_side_by_side_means_at_the_same_time() -> None:
    # Whoever came alone would wait here for the others until the test fails.
    everyone = Barrier(4, timeout=PATIENCE_SECONDS)

    def meet() -> None:
        everyone.wait()

    side_by_side([meet] * 4)
    assert not everyone.broken


@pytest.mark.parametrize("number", range(3))
def test_an_error_is_raised_once_all_have_ended(number: int) -> None:
    done: list[int] = []
    fail = Event()

    def work(n: int) -> None:
        if n == number:
            fail.set()
            raise ZeroDivisionError
        assert fail.wait(PATIENCE_SECONDS)
        done.append(n)

    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: work(0), lambda: work(1), lambda: work(2)])

    assert sorted(done) == [n for n in range(3) if n != number]


def test_where_no_thread_can_be_started_all_is_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refuse)
    done: list[str] = []
    works: list[Work] = [lambda: done.append("a"), lambda: done.append("b")]
    side_by_side(works)
    assert done == ["a", "b"]


def test_beside_returns_before_the_work_has_ended() -> None:
    let_go, ended = Event(), Event()

    def work() -> None:
        assert let_go.wait(PATIENCE_SECONDS)
        ended.set()

    beside(work)
    assert not ended.is_set()
    let_go.set()
    assert ended.wait(PATIENCE_SECONDS)
