"""Where work runs: in turn, side by side, or beside the requests."""

from collections.abc import Callable, Sequence
from threading import Thread

type Work = Callable[[], None]
type Runner = Callable[[Sequence[Work]], None]
"""Runs pieces of work that do not depend on each other, and returns when the last has ended."""


def in_turn(works: Sequence[Work]) -> None:
    """Run one after another."""
    for work in works:
        work()


def side_by_side(works: Sequence[Work]) -> None:
    """Run all at the same time; no thread is left when it returns.

    Lambda freezes what is left of an invocation, and thaws it with the next one or never.

    Raises:
        Exception: what one of them raised, once all have ended.
    """
    errors: list[Exception] = []

    def run(work: Work) -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [Thread(target=run, args=(work,), name="side-by-side") for work in works]
    # The first needs no thread, and what none can be started for runs here as well.
    started = [thread for thread in threads[1:] if _starts(thread)]
    for thread in threads:
        if thread not in started:
            thread.run()
    for thread in started:
        thread.join()
    if errors:
        raise errors[0]


def beside(work: Work) -> None:
    """Run in a thread of its own that nobody waits for."""
    Thread(target=work, name="beside", daemon=True).start()


def _starts(thread: Thread) -> bool:
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
