"""Waiting for a candidate no longer than there is time."""

import threading
from collections.abc import Iterator

import pytest

from classifier.patience import PatientEvents
from regroup.domain.chat import ChatEvent, TextDelta
from regroup.errors import UpstreamThrottledError, UpstreamTimeoutError


class Stream:
    """Yields one event, then waits until it is told to go on; notes when it was closed."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.closed = threading.Event()

    def events(self) -> Iterator[ChatEvent]:
        try:
            yield TextDelta("one")
            assert self.go_on.wait(5)
            yield TextDelta("two")
        finally:
            self.closed.set()


def test_events_come_in_order_and_end_once() -> None:
    events = PatientEvents(iter([TextDelta("one"), TextDelta("two")]))
    got = [events.next_within(5) for _ in range(4)]
    assert got == [TextDelta("one"), TextDelta("two"), None, None]


def test_nothing_is_read_ahead_of_its_reader() -> None:
    read: list[int] = []

    def count() -> Iterator[ChatEvent]:
        for number in range(10):
            read.append(number)
            yield TextDelta(str(number))

    events = PatientEvents(count())
    events.next_within(5)
    assert read == [0]
    events.close()


def test_a_silence_beyond_the_time_left_is_given_up_and_closed_once_it_ends() -> None:
    stream = Stream()
    events = PatientEvents(stream.events())
    assert events.next_within(5) == TextDelta("one")

    with pytest.raises(UpstreamTimeoutError):
        events.next_within(0.01)

    assert not stream.closed.is_set()
    stream.go_on.set()
    assert stream.closed.wait(5)
    assert events.next_within(5) is None


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_left_is_a_timeout_and_no_error_of_ours(seconds: float) -> None:
    stream = Stream()
    events = PatientEvents(stream.events())
    events.next_within(5)
    with pytest.raises(UpstreamTimeoutError):
        events.next_within(seconds)
    stream.go_on.set()


def test_closing_early_closes_the_stream() -> None:
    stream = Stream()
    events = PatientEvents(stream.events())
    events.next_within(5)
    events.close()
    events.close()
    assert stream.closed.wait(5)


def test_an_error_comes_through_as_it_is() -> None:
    def fail() -> Iterator[ChatEvent]:
        raise UpstreamThrottledError("x")
        yield

    events = PatientEvents(fail())
    with pytest.raises(UpstreamThrottledError):
        events.next_within(5)
    assert events.next_within(5) is None
