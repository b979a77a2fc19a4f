"""The classifier in a process that is frozen after a request and restored twice, by forking.

    python -u -m tests.local.snapshot_process FOLDER

A proxy event a line comes in: the first is answered before the snapshot, the second after each
restore. In between it writes a line on standard error and waits for one more. FOLDER takes a report
of each answer. A fork shares what a restored snapshot shares: memory, open sockets, and the state
of every generator.
"""

import json
import os
import random
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from awslambdaric import lambda_runtime_hooks_runner as runtime

RESTORES = 2
_THREAD_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Report:
    """What one process made of its event."""

    status: int
    decision_id: str
    luck: float
    """From the generator that every module draws from."""
    sockets: list[str]
    """What the kernel calls those that are open; a fork keeps the names."""


class Context:
    """Lambda's context as far as the handler looks at it."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


def main(folder: Path) -> None:
    """Answer, freeze, and let each copy answer."""
    from classifier.entry import lambda_handler

    def answer(event: str, name: str) -> None:
        result = lambda_handler(json.loads(event), Context())
        decision_id = result["headers"].get("x-regroup-decision-id", "")
        report = Report(result["statusCode"], decision_id, random.random(), _sockets())
        (folder / f"{name}.json").write_text(json.dumps(asdict(report)))

    first, second = sys.stdin.readline(), sys.stdin.readline()
    answer(first, "frozen")
    runtime.run_before_snapshot()
    sys.stderr.write("frozen\n")
    sys.stderr.flush()
    sys.stdin.readline()
    _join_threads()
    chance = random.getstate()
    copies = []
    for number in range(RESTORES):
        copy = os.fork()
        if copy == 0:
            # Python draws anew after a fork; after a restore nobody does it for us.
            random.setstate(chance)
            runtime.run_after_restore()
            answer(second, f"restored-{number}")
            os._exit(0)
        copies.append(copy)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) for copy in copies))


def read_report(folder: Path, name: str) -> Report:
    """Return what a process wrote down."""
    fields: dict[str, Any] = json.loads((folder / f"{name}.json").read_bytes())
    return Report(**fields)


def _sockets() -> list[str]:
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(descriptor.readlink()))
        except OSError:
            continue  # The one that the folder was read through.
    return sorted(name for name in names if name.startswith("socket:"))


def _join_threads() -> None:
    """Wait for what a request left to its threads: a fork copies only the one that forks."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(_THREAD_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
