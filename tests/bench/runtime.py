"""`make bench-runtime`: what the router costs in time and memory, measured on the deployed zips.

The zips of `make package` lie unpacked in clean folders and are driven by Lambda's own runtime
client over a loopback Runtime API, pinned to one core; boto3 lies in a folder of its own, as in the
managed runtime. S3 and DynamoDB are emulators on loopback, asked over real connections.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from rich.console import Console

from layers.package import INFO, PACKAGE, BuiltZip, unzipped_mb
from tests.bench.cloud import cloud
from tests.bench.data import REPOSITORY, RESULTS
from tests.bench.function_timing import TimedFunction, on_other_core
from tests.bench.machine import describe_machine
from tests.bench.peers.measure import measure_peers
from tests.bench.prompts_by_length import prompts_of
from tests.local.artifacts import sample_artifact
from tests.local.unpacked import Unpacked, unpack
from training.encoder import EncoderName, ensure_encoder, load_spec
from training.sources import TOKENIZER

CPU = max(os.sched_getaffinity(0))
"""The core that is measured; this process keeps to the others, where there are others."""
SUFFIXES: Mapping[EncoderName, str] = {"minilm": "", "e5-small": "_e5"}
COLD_RUNS = 9
ROUNDS = 5
PER_ROUND = {9: 200, 32: 300, 128: 150, 512: 60}
"""Requests a round, by the prompt's number of tokens."""
CACHED_ROUND = 200
GOALS = {
    "cold_start_ms": 600.0,
    "decision_p50_ms_32": 3.0,
    "decision_p99_ms_32": 6.0,
    "rss_mb": 220.0,
    "cold_start_ms_e5": 900.0,
    "decision_p50_ms_32_e5": 7.0,
    "decision_p99_ms_32_e5": 14.0,
    "rss_mb_e5": 320.0,
    "unzipped_mb": 125.0,
    "unzipped_mb_e5": 125.0,
}
ROWS = (
    ("from spawn to the first routed response, ms", "cold_start_ms"),
    ("of it: imports", "start_imports_ms"),
    ("clients, catalog and pointer", "start_before_fetch_ms"),
    ("fetching the artifact, S3 on loopback", "start_fetch_ms"),
    ("digests and parsing", "start_check_ms"),
    ("onnxruntime session and tokenizer", "start_session_ms"),
    ("golden texts, the first ones encoded", "start_golden_ms"),
    ("a decision of 32 tokens, median, ms", "decision_p50_ms_32"),
    ("the same, 99th percentile", "decision_p99_ms_32"),
    ("the same, remembered by the instance", "memory_hit_ms"),
    ("32 tokens with Lambda's runtime client, median, ms", "invocation_p50_ms_32"),
    ("decisions a second, one instance", "requests_per_second_32"),
    ("peak memory, MB", "rss_mb"),
    ("layers and function, unzipped, MB", "unzipped_mb"),
)
PEER_ROWS = (
    ("semantic-router with the same MiniLM file", "semantic_router_p50_ms"),
    ("LiteLLM's complexity router (rules)", "litellm_complexity_p50_ms"),
)
_WARM_UP = 30


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of several runs, with the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """Sum up one value a run."""
        return cls(median(values), min(values), max(values))


type Figures = dict[str, Figure]


def main() -> None:
    """Run the benchmark; print its tables and write `build/bench/runtime.json`."""
    console = Console(stderr=not sys.stdout.isatty(), highlight=False)
    figures: Figures = {}
    peers, left_out = on_other_core(CPU, lambda: _measure(console, figures))
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = as_report(figures, peers)
    (RESULTS / "runtime.json").write_text(json.dumps(report, indent=1) + "\n")
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"{report['at']}, {report['machine']}:\n")
    out.print(markdown(figures, peers))
    out.print(f"\n{break_even(figures)}")
    for name, why in left_out.items():
        out.print(f"{name} was left out: {why}")
    missed = [key for key, goal in GOALS.items() if figures[key].median > goal]
    out.print(f"goals missed: {', '.join(missed)}" if missed else "every goal is met")


def as_report(figures: Mapping[str, Figure], peers: Mapping[str, float]) -> dict[str, object]:
    """Return the content of `runtime.json`: medians by name, their spread, the machine, the day."""
    return {
        **{name: round(figure.median, 3) for name, figure in figures.items()},
        **{name: round(value, 3) for name, value in peers.items()},
        "spread": {n: [round(f.least, 3), round(f.most, 3)] for n, f in figures.items()},
        "machine": describe_machine(),
        "at": datetime.now(UTC).date().isoformat(),
    }


def _measure(console: Console, figures: Figures) -> tuple[dict[str, float], dict[str, str]]:
    infos = {n: BuiltZip(**i) for n, i in json.loads((PACKAGE / INFO).read_bytes()).items()}
    with TemporaryDirectory() as scratch:
        unpacked = unpack("classifier", Path(scratch) / "unpacked")
        for name, suffix in SUFFIXES.items():
            with console.status(f"measuring {name}"):
                found = measure_encoder(name, unpacked, Path(scratch) / name)
            found["unzipped_mb"] = Figure.of([unzipped_mb(infos, "classifier")])
            figures |= {f"{key}{suffix}": figure for key, figure in found.items()}
    encoder = ensure_encoder("minilm", REPOSITORY / "build/encoder")
    with console.status("measuring peers"):
        prompts = {n: _prompts(encoder, n, PER_ROUND[n], seed=n) for n in PER_ROUND}
        peers, left_out = measure_peers(prompts, encoder, CPU)
    return flatten(peers), left_out


def measure_encoder(name: EncoderName, unpacked: Unpacked, scratch: Path) -> Figures:
    """Return the figures of the function that serves a small router of one encoder."""
    encoder = ensure_encoder(name, REPOSITORY / "build/encoder")
    scratch.mkdir()
    artifact, _ = sample_artifact(scratch, encoder)
    with cloud(artifact) as environment:
        deployed = TimedFunction(unpacked, environment, CPU)
        uncached = TimedFunction(unpacked, {**environment, "CACHE_TABLE": ""}, CPU)
        return {
            **_cold(deployed, _prompts(encoder, 32, COLD_RUNS + 1, seed=1)),
            **_warm(uncached, encoder),
            **_cached(deployed, _prompts(encoder, 32, CACHED_ROUND, seed=2)),
        }


def _cold(function: TimedFunction, prompts: Sequence[str]) -> Figures:
    # The first one reads the files from the disk, which is the image's affair, not ours.
    starts = [function.start_cold(prompt) for prompt in prompts][1:]
    parts = {
        **{part: (part,) for part in starts[0].parts_ms},
        "before_fetch_ms": ("catalog_ms", "pointer_ms"),
    }
    return {
        "cold_start_ms": Figure.of([start.total_ms for start in starts]),
        **{
            f"start_{name}": Figure.of([sum(start.parts_ms[one] for one in of) for start in starts])
            for name, of in parts.items()
        },
    }


def _warm(function: TimedFunction, encoder: Path) -> Figures:
    figures: Figures = {}
    peak = 0.0
    for tokens, count in PER_ROUND.items():
        prompts = _prompts(encoder, tokens, _WARM_UP + ROUNDS * count, seed=tokens)
        rounds = [prompts[_WARM_UP + n * count :][:count] for n in range(ROUNDS)]
        warm = function.run_warm(prompts[:_WARM_UP], rounds)
        times = {
            "decision": [one.milliseconds for one in warm],
            "invocation": [one.invocation_ms for one in warm],
        }
        for what, rounds_ms in times.items():
            figures[f"{what}_p50_ms_{tokens}"] = Figure.of([median(ms) for ms in rounds_ms])
            figures[f"{what}_p99_ms_{tokens}"] = Figure.of([p99(ms) for ms in rounds_ms])
        figures[f"requests_per_second_{tokens}"] = Figure.of([one.per_second for one in warm])
        peak = max(peak, *(one.rss_mb for one in warm))
    return {**figures, "rss_mb": Figure.of([peak])}


def _cached(function: TimedFunction, prompts: Sequence[str]) -> Figures:
    """Time what is predicted and put, what is found in the table, and what is still in memory."""
    warm_up = [f"warm {prompt}" for prompt in prompts[:_WARM_UP]]
    (put,) = function.run_warm(warm_up, [prompts])
    found, remembered = function.run_warm(warm_up, [prompts, prompts])
    states = [one.cache_states for one in (put, found, remembered)]
    if states != [{"miss"}, {"hit"}, {"memory"}]:
        raise RuntimeError(f"the cache did not do what it was timed for: {states}")
    return {
        "cache_miss_ms": Figure.of([median(put.milliseconds)]),
        "cache_hit_ms": Figure.of([median(found.milliseconds)]),
        "memory_hit_ms": Figure.of([median(remembered.milliseconds)]),
    }


def _prompts(encoder: Path, tokens: int, count: int, *, seed: int) -> Sequence[str]:
    prefix = load_spec(encoder).prefix
    return prompts_of(encoder / TOKENIZER, prefix, tokens, count, seed=seed)


def p99(milliseconds: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return quantiles(milliseconds, n=100, method="inclusive")[98]


def flatten(peers: Mapping[str, Mapping[str, object]]) -> dict[str, float]:
    """Return each number a peer printed as `peer_<name>_<figure>[_<tokens>]`."""
    flat: dict[str, float] = {}
    for peer, found in peers.items():
        for figure, value in found.items():
            values = value.items() if isinstance(value, Mapping) else [("", value)]
            for tokens, number in values:
                if isinstance(number, int | float):
                    flat["_".join(filter(None, ("peer", peer, figure, tokens)))] = float(number)
    return flat


def markdown(figures: Mapping[str, Figure], peers: Mapping[str, float]) -> str:
    """Return the tables of the README: medians, and in brackets the least and most of the runs."""
    lines = [
        "| one pinned core | all-MiniLM-L6-v2 | multilingual e5-small | goal |",
        "|---|---|---|---|",
    ]
    for label, key in ROWS:
        cells = [_cell(figures[f"{key}{suffix}"]) for suffix in SUFFIXES.values()]
        goals = [GOALS.get(f"{key}{suffix}") for suffix in SUFFIXES.values()]
        goal = " / ".join(f"{one:g}" for one in goals if one is not None)
        lines.append(f"| {label} | {' | '.join(cells)} | {goal} |")
    lines += ["", f"| ms a decision | {' | '.join(f'{n} tokens' for n in PER_ROUND)} |"]
    lines.append("|---" * (1 + len(PER_ROUND)) + "|")
    for label, key in (("REGROUP, MiniLM", ""), ("REGROUP, e5-small", "_e5")):
        cells = [f"{figures[f'decision_p50_ms_{n}{key}'].median:.1f}" for n in PER_ROUND]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    for label, key in PEER_ROWS:
        found = [peers.get(f"peer_{key}_{n}") for n in PER_ROUND]
        if None not in found:
            lines.append(f"| {label} | {' | '.join(f'{one:.1f}' for one in found)} |")
    return "\n".join(lines)


def break_even(figures: Mapping[str, Figure]) -> str:
    """Say from which share of repeated prompts on the table of predictions saves time."""
    encode = figures["decision_p50_ms_32"].median
    hit, miss = figures["cache_hit_ms"].median, figures["cache_miss_ms"].median
    times = f"{encode:.1f} ms for 32 tokens without it, {hit:.1f} out of it, {miss:.1f} put in"
    if hit >= encode:
        return f"the emulated table never saves time: {times}"
    share = max(0.0, (miss - encode) / (miss - hit))
    return f"the emulated table saves time where {share:.0%} of the prompts come again: {times}"


def _cell(figure: Figure) -> str:
    digits = 0 if figure.median >= 100 else 1
    if figure.least == figure.most:
        return f"{figure.median:.{digits}f}"
    spread = f"{figure.least:.{digits}f} to {figure.most:.{digits}f}"
    return f"{figure.median:.{digits}f} ({spread})"


if __name__ == "__main__":
    main()
