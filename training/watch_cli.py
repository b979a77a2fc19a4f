"""`regroup logs` and `queries`: what a deployment just did, and how good its answers are."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from heapq import nlargest
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from regroup.adapters.cloudwatch_logs import CloudWatchLogs, LogEvent
from regroup.errors import ConfigurationError
from training.terminal import say, show, texts

_MOST_LINES = 200
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_WORD = re.compile(r"[a-z_]{1,40}", re.ASCII)
_PLUMBING = frozenset(
    {"at", "correlation_id", "event", "level", "location", "message", "schema", "service"}
    | {"timestamp", "xray_trace_id"}
)
"""Fields that every line has and that say nothing of what happened."""
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]+)?(?:[eE]-?[0-9]{1,3})?", re.ASCII)

# Typer reads no `type` statements: it would show this option without help.
GroupOption = Annotated[
    str,
    typer.Option(help="The classifier's log group: Terraform's output classifier_log_group."),
]

watch_app = typer.Typer()
remarks = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Query:
    """A saved query of Logs Insights."""

    name: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Watch:
    """What the commands ask of the world."""

    logs: Callable[[], CloudWatchLogs] = CloudWatchLogs.connect
    now: Callable[[], float] = time.time
    zone: tzinfo | None = None
    """Whose times are shown; None: this machine's."""


@watch_app.command(name="logs")
def logs_command(
    context: typer.Context,
    log_group: GroupOption,
    since: Annotated[str, typer.Option(help="How far back: 30s, 15m, 2h or 1d.")] = "15m",
    event: Annotated[
        str, typer.Option(help="Such as decision, refused, reward_scored or started.")
    ] = "decision",
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are.")] = False,
) -> None:
    """Show the newest lines of the functions' log, the newest last."""
    watch = context.ensure_object(Watch)
    began = watch.now() - _seconds(since)
    if not _WORD.fullmatch(event):
        raise ConfigurationError(f"--event is {event!r}: give one word, such as decision")
    found = watch.logs().search(log_group, f'{{ $.event = "{event}" }}', since=began)
    lines, others = _newest(found, event)
    if not lines:
        _remark(
            f"no {event} line in {since}: nothing was asked, or --log-group names another"
            " function's log; a line takes some seconds to arrive, and --since looks further back"
        )
        return
    if others:
        _remark(f"{others:,} older lines are left out: give a shorter --since to see them all")
    if as_json:
        for raw, _ in lines:
            typer.echo(raw.message)
        return
    rows = [fields for _, fields in lines]
    show(_decisions(rows, watch.zone) if event == "decision" else _others(rows, watch.zone))


def _newest(
    events: Iterable[LogEvent], event: str
) -> tuple[list[tuple[LogEvent, dict[str, Any]]], int]:
    """Return the newest lines of an event, the newest last, and how many older ones there are."""
    total = 0

    def parsed() -> Iterator[tuple[LogEvent, dict[str, Any]]]:
        nonlocal total
        for one in events:
            fields = _fields(one.message)
            if fields.get("event") == event:
                total += 1
                # CloudWatch's time is when it was read from the function's output.
                yield one, {**fields, "at": _number_or(fields.get("at"), one.at)}

    newest = nlargest(_MOST_LINES, parsed(), key=lambda found: found[1]["at"])
    return newest[::-1], total - len(newest)


def _number_or(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _fields(message: str) -> dict[str, Any]:
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _decisions(lines: Sequence[Mapping[str, Any]], zone: tzinfo | None) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("time", "status", "model", "reason"):
        table.add_column(head, no_wrap=True)
    for head in ("ms", "USD", "fallbacks"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("decision id", no_wrap=True)
    for line in lines:
        cells = (
            _time(line["at"], zone),
            "dry run" if line.get("dry_run") else line.get("status"),
            line.get("routed_model"),
            line.get("reason"),
            _figure(line.get("latency_ms"), ",.0f"),
            _figure(line.get("cost_usd"), ".6f"),
            line.get("fallbacks"),
            line.get("decision_id"),
        )
        table.add_row(*texts(cells))
    return table


def _others(lines: Sequence[Mapping[str, Any]], zone: tzinfo | None) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("time", no_wrap=True)
    table.add_column("line", no_wrap=True)
    for line in lines:
        said = (f"{name}={json.dumps(value)}" for name, value in line.items() if _tells(name))
        table.add_row(*texts((_time(line["at"], zone), " ".join(said))))
    return table


def _tells(name: str) -> bool:
    return name not in _PLUMBING


@watch_app.command(name="queries")
def queries_command(
    context: typer.Context,
    log_group: GroupOption,
    name: Annotated[
        str | None, typer.Option(help="Only this one, such as routing-accuracy. Default: all.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="How far back.")] = 7,
    folder: Annotated[Path, typer.Option(help="Where the *.cwli files lie.")] = Path(
        "terraform/queries"
    ),
) -> None:
    """Run the saved queries over the functions' log: what, who, how much and how good.

    `--name routing-accuracy` once a week shows how good the answers are.
    """
    watch = context.ensure_object(Watch)
    wanted, logs = read_queries(folder, name), watch.logs()
    until = watch.now()
    since = until - days * _UNIT_SECONDS["d"]
    for number, query in enumerate(wanted):
        with remarks.status(query.name):
            rows = logs.query(log_group, query.text, since=since, until=until)
        if number:
            say("")
        say(f"{query.name}: {query.title}")
        if rows:
            show(_result(rows, watch.zone))
        else:
            say(f"  no rows in {days} days: {_why_empty(query)}")


def read_queries(folder: Path, name: str | None = None) -> list[Query]:
    """Return the saved queries of a folder by name, or the one that is named.

    Raises:
        ConfigurationError: there is none, or not the one.
    """
    found = [_read_query(path) for path in sorted(folder.glob("*.cwli"))]
    if not found:
        raise ConfigurationError(
            f"no *.cwli file lies in {folder}: give --folder, or run this in the repository"
        )
    if name is None:
        return found
    wanted = [one for one in found if one.name == name]
    if not wanted:
        names = ", ".join(one.name for one in found)
        raise ConfigurationError(f"there is no query {name!r}: there are {names}")
    return wanted


def _read_query(path: Path) -> Query:
    text = path.read_text(encoding="utf-8").strip()
    first = text.partition("\n")[0]
    title = first.removeprefix("#").strip() if first.startswith("#") else path.stem
    return Query(path.stem, title, text)


def _why_empty(query: Query) -> str:
    if "reward_scored" in query.text:
        return "no feedback has come yet; POST /v1/feedback judges an answer"
    return "nothing was asked, or nothing of this kind happened"


def _result(rows: Sequence[Mapping[str, str]], zone: tzinfo | None) -> Table:
    table = Table(box=None, pad_edge=False)
    # A row has no cell where its line had no such field.
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        numbers = all(_NUMBER.fullmatch(row.get(name) or "0") for row in rows)
        table.add_column(name, justify="right" if numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*texts(_cell(name, row.get(name, ""), zone) for name in names))
    return table


def _cell(name: str, text: str, zone: tzinfo | None) -> str:
    if not _NUMBER.fullmatch(text):
        return text
    if name == "at" or name.endswith("_at"):
        return _time(float(text), zone)
    return f"{float(text):,.6f}".rstrip("0").rstrip(".")


def _time(at: object, zone: tzinfo | None) -> str:
    try:
        moment = datetime.fromtimestamp(float(str(at)), UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return str(at)
    return moment.isoformat(" ", "seconds")


def _figure(value: object, how: str) -> str:
    return format(value, how) if isinstance(value, int | float) else ""


def _seconds(span: str) -> int:
    if (match := _SPAN.fullmatch(span)) is None:
        raise ConfigurationError(f"--since is {span!r}: give a number and s, m, h or d, as in 15m")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def _remark(sentence: str) -> None:
    remarks.print(sentence, highlight=False, markup=False, soft_wrap=True)
