"""What a SnapStart snapshot should hold, and what must be made anew when it is restored.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart-best-practices.html
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

RESTORE_SECONDS = 5.0
"""How long a restore waits for S3. Lambda gives all hooks together ten seconds:
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The application as a snapshot sees it."""

    prepare: Callable[[], None]
    """Builds what a first request would build."""
    disconnect: Callable[[], None]
    """Closes every connection, so that the next request opens a new one."""
    follow: Callable[[float], None]
    """Looks at the pointer, for that many seconds at most."""

    def before(self) -> None:
        """Make ready what the first request after every restore would wait for."""
        self.prepare()

    def after(self) -> None:
        """Drop what is dead, draw anew what is equal in all copies, and see what is live by now.

        No time is kept that could be wrong now: no candidate rests yet, and conversations and
        predictions are only known from requests.
        """
        random.seed()
        self.disconnect()
        self.follow(RESTORE_SECONDS)


def register(snapshot: Snapshot, runtime: str = "snapshot_restore_py") -> None:
    """Have Lambda's managed runtime call the hooks, which it does under SnapStart only."""
    try:
        hooks = import_module(runtime)
    except ModuleNotFoundError:
        return  # Not in Lambda.
    hooks.register_before_snapshot(snapshot.before)
    hooks.register_after_restore(snapshot.after)
