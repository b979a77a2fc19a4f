"""How long the parts of a start took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.stopwatch import Stopwatch
from tests.local.fakes import FakeClock


def watch_on(clock: FakeClock) -> Stopwatch:
    return Stopwatch(lambda: clock.monotonic)


def test_parts_and_total_are_told_in_milliseconds_to_a_tenth() -> None:
    clock = FakeClock()
    watch = watch_on(clock)
    clock.advance(0.5)
    with watch.part("fetch"):
        clock.advance(0.12346)
    with watch.part("check"):
        clock.advance(0.00004)
    assert watch.milliseconds() == {"fetch_ms": 123.5, "check_ms": 0.0, "total_ms": 623.5}


def test_a_part_that_comes_again_adds_up() -> None:
    clock = FakeClock()
    watch = watch_on(clock)
    for _ in range(2):
        with watch.part("fetch"):
            clock.advance(0.25)
    assert watch.milliseconds()["fetch_ms"] == 500.0


def test_a_part_that_fails_took_its_time_as_well() -> None:
    clock = FakeClock()
    watch = watch_on(clock)

    def fail() -> None:
        with watch.part("fetch"):
            clock.advance(2.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert watch.milliseconds()["fetch_ms"] == 2_000.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10_000), st.integers(0, 10_000))))
def test_the_parts_are_never_more_than_the_total(steps: list[tuple[str, int, int]]) -> None:
    clock = FakeClock(monotonic=0.0)
    watch = watch_on(clock)
    for name, inside_ms, between_ms in steps:
        with watch.part(name):
            clock.advance(inside_ms / 1_000)
        clock.advance(between_ms / 1_000)
    told = watch.milliseconds()
    between = sum(step[2] for step in steps)
    assert told["total_ms"] - between == pytest.approx(
        sum(ms for name, ms in told.items() if name != "total_ms"), abs=0.2
    )
