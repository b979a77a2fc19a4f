"""`make bench-levers`, second half: what each lever on the function's cold start is worth.

Every lever is taken back alone, in a copy of the unpacked zips. Its starts alternate with starts of
the function as shipped, and what is reported is the median of their differences, with quartiles.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from layers.archive import compile_bytecode
from tests.bench.cloud import cloud
from tests.bench.data import REPOSITORY, RESULTS
from tests.bench.function_timing import TimedFunction, on_other_core
from tests.bench.machine import describe_machine
from tests.bench.runtime import CPU
from tests.local.artifacts import sample_artifact
from tests.local.unpacked import Unpacked, unpack
from training.encoder import ensure_encoder

ROUNDS = 11
_PROMPT = "Which of these two sorting functions is the better one, and would you say why it is?"


@dataclass(frozen=True, slots=True)
class Lever:
    """One thing done otherwise than shipped."""

    name: str
    edits: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By file of the function: what stands there, and what stands there instead."""
    bytecode: bool = True


LEVERS = (
    Lever("no bytecode in the zips", bytecode=False),
    Lever("garbage collected meanwhile", {"entry.py": ("gc.disable()", "pass")}),
    Lever(
        "OpenBLAS with threads of its own",
        {"entry.py": ('os.environ["OPENBLAS_NUM_THREADS"] = "1"', "pass")},
    ),
    Lever(
        "Bedrock's clients built at the start",
        {"entry.py": ("register(_app.snapshot)", "_app.snapshot.prepare()")},
    ),
    Lever(
        "parts fetched one by one",
        {"bootstrap.py": ("_PARALLEL_FETCHES = 2", "_PARALLEL_FETCHES = 1")},
    ),
    Lever(
        "parts fetched four at a time",
        {"bootstrap.py": ("_PARALLEL_FETCHES = 2", "_PARALLEL_FETCHES = 4")},
    ),
)


def main() -> None:
    """Run the benchmark; print its table and write `build/bench/start_levers.json`."""
    console = Console(stderr=not sys.stdout.isatty(), highlight=False)
    with console.status("starting the function again and again"):
        shipped_ms, found = on_other_core(CPU, _measure)
    report = {"shipped_ms": shipped_ms, "added_ms": found, "machine": describe_machine()}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "start_levers.json").write_text(json.dumps(report, indent=1) + "\n")
    table = Table("a start with e5-small", "added to a start, ms (quartiles)")
    table.add_row("as shipped", f"{shipped_ms:.0f}", end_section=True)
    for name, (low, middle, high) in found.items():
        table.add_row(name, f"{middle:+.0f} ({low:+.0f} to {high:+.0f})")
    Console(highlight=False).print(table)


def _measure() -> tuple[float, dict[str, list[float]]]:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shipped = unpack("classifier", folder / "shipped")
        moved = {
            lever.name: move(lever, shipped, folder / str(number))
            for number, lever in enumerate(LEVERS)
        }
        encoder = ensure_encoder("e5-small", REPOSITORY / "build/encoder")
        artifact, _ = sample_artifact(folder, encoder)
        with cloud(artifact) as environment:
            as_shipped = TimedFunction(shipped, environment, CPU)
            as_shipped.start_cold(_PROMPT)  # reads the files from the disk
            added: dict[str, list[float]] = {name: [] for name in moved}
            starts = []
            for _ in range(ROUNDS):
                for name, home in moved.items():
                    before = as_shipped.start_cold(_PROMPT).total_ms
                    after = TimedFunction(home, environment, CPU).start_cold(_PROMPT).total_ms
                    added[name].append(after - before)
                    starts.append(before)
    return median(starts), {
        name: quantiles(values, n=4, method="inclusive") for name, values in added.items()
    }


def move(lever: Lever, shipped: Unpacked, folder: Path) -> Unpacked:
    """Return a copy of the unpacked function with one lever taken back.

    Raises:
        ValueError: what the lever changes does not stand there any more.
    """
    moved = Unpacked(folder / "task", folder / "layers", shipped.managed)
    shutil.copytree(shipped.task, moved.task)
    shutil.copytree(shipped.layers, moved.layers)
    for name, (old, new) in lever.edits.items():
        path = moved.task / "classifier" / name
        source = path.read_text(encoding="utf-8")
        if source.count(old) != 1:
            raise ValueError(f"{name} does not say {old!r} once: mend the lever {lever.name!r}")
        path.write_text(source.replace(old, new), encoding="utf-8")
    if lever.bytecode:
        compile_bytecode(moved.task, "/var/task")
    else:
        for place in (moved.task, moved.layers):
            for cache in place.rglob("__pycache__"):
                shutil.rmtree(cache)
    return moved


if __name__ == "__main__":
    main()
