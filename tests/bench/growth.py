"""`make bench-growth`: what breaks first at 1, 100 and 10,000 requests a second, and what moves it.

Prints the two tables of GROWTH.md: a simulation of bursty traffic, and how many requests a second
each limit lets through on paper. What was measured of the classifier comes from `--runtime`; the
rest is AWS's default or assumed, and each of its numbers is an option.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.data import RESULTS
from tests.bench.growth_load import (
    Bursts,
    Floats,
    Measured,
    Model,
    Quotas,
    Requests,
    Table,
    Trace,
    Traffic,
    draw_trace,
)
from tests.bench.growth_model import LEAST_HELD_SECONDS, Deployment, End

type Row = tuple[str, str, str, str, str]

_SHARES_ROUNDED = 0.01
SUFFIXES = {"minilm": "", "e5-small": "_e5"}
"""What the keys of an encoder end in."""

MODELS = (
    Model("haiku", 0.60, 5_000_000, burndown=10),
    Model("nova-lite", 0.20, 8_000_000, burndown=1),
    Model("sonnet", 0.15, 6_000_000, burndown=10),
    Model("llama-70b", 0.05, 600_000, burndown=1),
)

RAISED = {
    "gateway_per_second": 25_000.0,
    "gateway_bucket": 12_500.0,
    "instances": 60_000.0,
    "provisioned": 40_000.0,
    "table_writes": 40_000.0,
    "table_reads": 40_000.0,
}
RAISED_TOKENS = 100
"""The column of raised quotas: these, and this many times the tokens of every model."""


@dataclass(frozen=True, slots=True)
class Setup:
    """All that is assumed."""

    bursts: Bursts = field(default_factory=Bursts)
    requests: Requests = field(default_factory=Requests)
    quotas: Quotas = field(default_factory=lambda: Quotas(MODELS))
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One simulation."""

    title: str
    traffic: Traffic
    requests: Requests
    quotas: Quotas


def columns_of(setup: Setup) -> tuple[Column, ...]:
    """Return the simulations of the table."""

    def column(rate: float, seconds: float, more: str = "", **changes: Any) -> Column:
        parts = {"requests": setup.requests, "quotas": setup.quotas, **changes}
        return Column(f"{rate:,}/s{more}", Traffic(rate, seconds, setup.bursts), **parts)

    models = tuple(
        replace(model, tokens_per_minute=model.tokens_per_minute * RAISED_TOKENS)
        for model in setup.quotas.models
    )
    raised = replace(setup.quotas, models=models, **RAISED)
    decided = replace(setup.requests, answered=False)
    return (
        column(1, 3_600),
        column(100, 600),
        column(10_000, 120),
        column(10_000, 120, ", quotas raised", quotas=raised),
        column(10_000, 120, ", only decided", requests=decided),
    )


def read_measured(report: Mapping[str, float], encoder: str) -> Measured:
    """Return an encoder's figures in what `make bench-runtime` wrote.

    Raises:
        KeyError: one of them is missing.
    """
    names = ("decision_p50_ms_32", "decision_p99_ms_32", "cold_start_ms")
    return Measured(*(report[name + SUFFIXES[encoder]] / 1000 for name in names))


def paper_table(measured: Measured, setup: Setup) -> str:
    """Return what each limit lets through, by division alone."""
    header = ("limit", "allowed", "one request takes", "lets through, requests/s", "what moves it")
    rows = (*_function_rows(measured, setup), *_table_rows(setup), *_token_rows(setup))
    return _markdown(header, rows)


def simulated_table(measured: Measured, columns: Sequence[Column], seed: int) -> str:
    """Return what came of each column's traffic."""
    results = [_simulate(measured, column, seed) for column in columns]
    rows = [(label, *(result[label] for result in results)) for label in results[0]]
    return _markdown(("", *(column.title for column in columns)), rows)


def _simulate(measured: Measured, column: Column, seed: int) -> dict[str, str]:
    quotas, requests = column.quotas, column.requests
    trace = draw_trace(column.traffic, requests, measured, quotas.models, seed)
    deployment = Deployment(quotas, requests, measured)
    deployment.run(trace)
    total, ends = len(trace.at), Counter(deployment.ends)
    own_ms = 1000 * np.array(deployment.own_seconds)
    first = deployment.first_limit()
    return {
        "requests": f"{total:,} in {column.traffic.seconds:,.0f} s",
        "most in one second": f"{np.bincount(trace.at.astype(np.intp)).max():,}",
        "instances it would take": f"{_most_at_once(trace, requests):,}",
        "instances busy at most": f"{deployment.fleet.most_busy:,}",
        "cold starts": f"{deployment.fleet.cold_starts:,}",
        "the router's own time, p50 / p99": f"{np.quantile(own_ms, 0.5):,.0f} / "
        f"{np.quantile(own_ms, 0.99):,.0f} ms",
        "served by the router's choice": _share(ends[End.ROUTED], total),
        "served by another model": _share(ends[End.FALLBACK], total),
        "budget unknown, so the cheapest": _share(deployment.budgets.unknown, total),
        "refused: no model has tokens (503)": _share(ends[End.NO_TOKENS], total),
        "refused: Lambda, concurrency (5xx)": _share(ends[End.CONCURRENCY], total),
        "refused: Lambda, new instances (5xx)": _share(ends[End.SCALING], total),
        "refused: API Gateway (429)": _share(ends[End.GATEWAY], total),
        "**breaks first**": "nothing" if first is None else f"**{first[0]}**, at {first[1]:.1f} s",
    }


def _most_at_once(trace: Trace, requests: Requests) -> int:
    """Return how many requests are served at once where nothing is ever refused or cold."""
    held = trace.decision_seconds + requests.table_seconds + trace.answer_seconds
    ends: Floats = np.sort(trace.at + np.maximum(held, LEAST_HELD_SECONDS))
    begun = np.arange(1, len(trace.at) + 1)
    return int((begun - np.searchsorted(ends, trace.at, side="right")).max())


def _function_rows(measured: Measured, setup: Setup) -> list[Row]:
    quotas, requests = setup.quotas, setup.requests
    held = measured.decision_p50 + requests.table_seconds + requests.mean_answer_seconds
    instances, gateway = quotas.instances, quotas.gateway_per_second
    at_once, more = quotas.new_instances_at_once, quotas.new_instances_per_second
    return [
        (
            "API Gateway, account and region",
            f"{gateway:,.0f} requests/s",
            "1",
            f"{gateway:,.0f}",
            "quota of the throttle rate",
        ),
        (
            "Lambda, concurrency of the account",
            f"{instances:,.0f} instances",
            f"one for {held:.2f} s",
            f"{instances / held:,.0f}",
            "quota of concurrent executions; shorter answers",
        ),
        (
            "... the same for `/v1/route`",
            f"{instances:,.0f} instances",
            f"one for {LEAST_HELD_SECONDS:g} s",
            f"{instances / LEAST_HELD_SECONDS:,.0f}",
            "quota of concurrent executions",
        ),
        (
            "Lambda, new instances of a function",
            f"{at_once:,.0f} at once, {more:,.0f} more a second",
            f"one for {held:.2f} s",
            f"{at_once / held:,.0f} at once, {more / held:,.0f} more each second",
            "no quota: provisioned concurrency",
        ),
    ]


def _table_rows(setup: Setup) -> list[Row]:
    quotas = setup.quotas
    rows = [
        (
            f"DynamoDB, new table of {table.name}",
            f"{quotas.table_writes:,.0f} writes/s, {quotas.table_reads:,.0f} reads/s",
            f"writes {table.writes:g}, reads {table.read_units:g}",
            f"{_passes(quotas, table):,.0f}",
            "warm throughput, up to the quota of the table",
        )
        for table in setup.requests.tables
    ]
    return [
        *rows,
        (
            "DynamoDB, the budget of one key",
            f"{quotas.item_writes:,.0f} writes/s, {quotas.item_reads:,.0f} reads/s",
            "writes 2, reads 1",
            f"{quotas.item_writes / 2:,.0f} of one key",
            "no quota: several keys, or a key without budget",
        ),
    ]


def _passes(quotas: Quotas, table: Table) -> float:
    limits = (quotas.table_writes, table.writes), (quotas.table_reads, table.read_units)
    return min(units / taken for units, taken in limits if taken)


def _token_rows(setup: Setup) -> list[Row]:
    requests, rows, answers_of_all = setup.requests, list[Row](), 0.0
    for model in setup.quotas.models:
        taken = model.tokens_taken(requests, requests.mean_answer_seconds)
        answers = model.tokens_per_minute / 60 / taken
        answers_of_all += answers
        rows.append(
            (
                f"Bedrock, tokens of {model.name}",
                f"{model.tokens_per_minute:,.0f} tokens/min",
                f"{taken:,.0f} tokens, {100 * model.share:g} % of the requests",
                f"{answers / model.share:,.0f}",
                "quota of tokens per minute; the router's mix",
            )
        )
    last = ("Bedrock, all of them by falling back", "", "", f"{answers_of_all:,.0f}", "the same")
    return [*rows, last]


def _share(count: int, total: int) -> str:
    if count == 0:
        return "0"
    return "< 0.1 %" if count < total / 1000 else f"{100 * count / total:.1f} %"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def numbers_of(kind: type) -> dict[str, Any]:
    """Return the assumed numbers of a kind: each is an option."""
    return {one.name: one.default for one in fields(kind) if isinstance(one.default, float)}


def report(measured: Measured, setup: Setup, columns: Sequence[Column]) -> str:
    """Return what GROWTH.md holds between its marks."""
    figures = (
        f"Measured: a decision takes {1000 * measured.decision_p50:.1f} ms"
        f" (p99 {1000 * measured.decision_p99:.1f}), a cold start"
        f" {1000 * measured.cold_start:,.0f} ms."
    )
    simulated = simulated_table(measured, columns, setup.seed)
    return "\n\n".join((figures, simulated, paper_table(measured, setup)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print it, or say what has to be measured first."""
    options = _options(arguments)
    shares = sum(model.share for model in options.model or MODELS)
    if abs(shares - 1) > _SHARES_ROUNDED:
        sys.stderr.write(f"the shares of --model add up to {shares:g}: make them add up to 1\n")
        sys.exit(2)
    path: Path = options.runtime
    try:
        measured = read_measured(json.loads(path.read_text(encoding="utf-8")), options.encoder)
    except (OSError, ValueError, TypeError, KeyError) as error:
        lacking = f"has no {error}" if isinstance(error, KeyError) else "holds no measured times"
        lacking = "is not there" if isinstance(error, FileNotFoundError) else lacking
        sys.stderr.write(f"{path} {lacking}: run make bench-runtime first\n")
        sys.exit(2)
    setup = _setup(options)
    sys.stdout.write(f"{report(measured, setup, columns_of(setup))}\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--runtime", type=Path, default=RESULTS / "runtime.json")
    parser.add_argument("--encoder", choices=SUFFIXES, default="minilm")
    parser.add_argument("--seed", type=int, default=Setup().seed)
    parser.add_argument(
        "--model",
        type=_model,
        action="append",
        metavar="NAME=SHARE,TOKENS_PER_MINUTE,BURNDOWN",
        help="a candidate, the cheapest first; give one option each for all of them",
    )
    for kind in (Bursts, Requests, Quotas):
        for name, default in numbers_of(kind).items():
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, type=float, default=default, help=f"{default:g}")
    return parser.parse_args(arguments)


def _model(text: str) -> Model:
    name, _, numbers = text.partition("=")
    try:
        share, tokens_per_minute, burndown = map(float, numbers.split(","))
    except ValueError:
        form = "NAME=SHARE,TOKENS_PER_MINUTE,BURNDOWN"
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}") from None
    return Model(name, share, tokens_per_minute, burndown)


def _setup(options: argparse.Namespace) -> Setup:
    def chosen(kind: type) -> dict[str, Any]:
        return {name: getattr(options, name) for name in numbers_of(kind)}

    return Setup(
        bursts=Bursts(**chosen(Bursts)),
        requests=Requests(**chosen(Requests)),
        quotas=Quotas(tuple(options.model or MODELS), **chosen(Quotas)),
        seed=options.seed,
    )


if __name__ == "__main__":
    main()
