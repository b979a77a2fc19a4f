"""Run by `.venv-peers`: time the decisions of one peer router on one core.

    python -I run.py SCRIPT < task.json

The task holds `cpu` (the core's number), `encoder` (the folder of an exported encoder) and
`prompts` (lists of distinct texts, by their number of tokens). A script holds `PACKAGE`, whose
version is reported, `PART`, which says what of a decision is timed by itself, `load`, whose time is
the time to import the package, and `build`, which is given the encoder's folder and returns two
functions of a text: the decision, and that part of it.

Writes JSON to stdout: `version`, `import_ms`, `p50_ms` and `p99_ms` by number of tokens, `part`,
and `part_p50_ms`. Each text is decided once; the first few of each length only warm up.
"""

import asyncio
import json
import os
import runpy
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

type Work = Callable[[str], Awaitable[object]]

WARM_UP = 3
"""Texts of each length that are not timed: an encoder's memory grows with the longest so far."""


def main() -> None:
    """Time the script that is named."""
    task = json.load(sys.stdin)
    # Before anything starts a thread: threads take the core of the one that starts them.
    os.sched_setaffinity(0, {task["cpu"]})
    with redirect_stdout(sys.stderr):  # LiteLLM prints
        report = time_peer(runpy.run_path(sys.argv[1]), task)
    sys.stdout.write(json.dumps(report))


def time_peer(script: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """Return what a peer's script takes, in milliseconds."""
    started = time.perf_counter_ns()
    script["load"]()
    import_ms = _ms_since(started)
    decide, part = script["build"](Path(task["encoder"]))
    with asyncio.Runner() as runner:
        decisions, parts = (
            {length: runner.run(_time(work, texts)) for length, texts in task["prompts"].items()}
            for work in (decide, part)
        )
    return {
        "version": version(script["PACKAGE"]),
        "import_ms": round(import_ms, 1),
        "p50_ms": _by_length(median, decisions),
        "p99_ms": _by_length(_p99, decisions),
        "part": script["PART"],
        "part_p50_ms": _by_length(median, parts),
    }


async def _time(work: Work, texts: Sequence[str]) -> list[float]:
    taken_ms = []
    for text in texts:
        started = time.perf_counter_ns()
        found = await work(text)
        taken_ms.append(_ms_since(started))
        if found is None:
            raise RuntimeError(f"nothing was decided about {text[:40]!r}")
    return taken_ms[WARM_UP:]


def _by_length(
    statistic: Callable[[list[float]], float], taken_ms: dict[str, list[float]]
) -> dict[str, float]:
    return {length: round(statistic(ms), 4) for length, ms in taken_ms.items()}


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[-1]


def _ms_since(started_ns: int) -> float:
    return (time.perf_counter_ns() - started_ns) / 1e6


if __name__ == "__main__":
    main()
