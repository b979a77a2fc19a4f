"""Wait for a candidate's events no longer than there is time."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

from regroup.domain.chat import ChatEvent
from regroup.errors import UpstreamTimeoutError


class PatientEvents:
    """A candidate's events, each waited for in a thread of its own.

    The SDK's timeouts bound the silence between two reads, not the whole: a stream that trickles,
    or falls silent late, would hold the answer beyond the gateway's patience. What is given up is
    closed once its read returns.
    """

    def __init__(self, events: Iterator[ChatEvent]) -> None:
        """Take over `events`; nothing is read before the first `next_within`."""
        self._events = events
        self._thread = ThreadPoolExecutor(1, "candidate")
        self._closed = False

    def next_within(self, seconds: float) -> ChatEvent | None:
        """Return the next event, or None at the end and after it.

        Raises:
            UpstreamTimeoutError: none came in time; the events are closed.
            UpstreamError: the candidate failed.
        """
        if self._closed:
            return None
        future: Future[ChatEvent | None] = self._thread.submit(next, self._events, None)
        try:
            event = future.result(timeout=max(0.0, seconds))
        except FutureTimeoutError as error:
            self.close()
            raise UpstreamTimeoutError("the time was up before the next event came") from error
        except BaseException:
            self.close()
            raise
        if event is None:
            self.close()
        return event

    def close(self) -> None:
        """Stop reading; the connection is given back or cut."""
        if self._closed:
            return
        self._closed = True
        close = getattr(self._events, "close", None)
        if close is not None:
            # Behind the read that may still be waiting: a generator cannot be closed while it runs.
            self._thread.submit(close)
        self._thread.shutdown(wait=False)
