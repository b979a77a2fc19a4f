"""`regroup keys`: who may call, until when, and how much a day."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from regroup.adapters.dynamodb_budgets import DynamoBudgetStore
from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.domain.budget import MICRO, Amount, Budget, budget_day, end_of
from regroup.domain.keys import KeyRecord, is_key_id, new_key, parse_token
from regroup.errors import ConfigurationError, StoreError

_LONGEST_NOTE = 200
_NARROWEST_NOTE = 12
"""Columns of the terminal that a note keeps, however narrow that is."""
_MOST_USD = 1_000_000_000
_MOST_TOKENS = 10**15
_MOST_DAYS = 36_500
_DAY_SECONDS = 86_400
_CACHE_SECONDS = 60
"""How long API Gateway keeps what the authorizer said."""

# Raises where an amount has digits beyond millionths, instead of rounding them.
_EXACT = Context(traps=[Inexact, InvalidOperation])

# Typer reads no `type` statements: it would show these options without help.
TableOption = Annotated[str, typer.Option(help="The classifier's KEYS_TABLE.")]
ZoneOption = Annotated[
    str, typer.Option(help="Whose midnight parts the days: the classifier's TIMEZONE.")
]

keys_app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
console = Console()
remarks = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the commands ask of the world."""

    keys: Callable[[str], DynamoKeyStore] = DynamoKeyStore.connect
    budgets: Callable[[str], DynamoBudgetStore] = DynamoBudgetStore.connect
    now: Callable[[], float] = time.time
    random_bytes: Callable[[int], bytes] = secrets.token_bytes


@keys_app.command(name="add")
def add_command(
    context: typer.Context,
    table: TableOption,
    usd_per_day: Annotated[
        str | None, typer.Option(help="The most it may cost a day. Default: no limit.")
    ] = None,
    tokens_per_day: Annotated[
        int | None, typer.Option(help="Input and output tokens. Default: no limit.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="The last day it holds, as in 2027-03-31. Default: never.")
    ] = None,
    days: Annotated[
        int | None, typer.Option(help="Instead of --expires: days of 24 hours from now.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="Whose it is; shown by `keys list`.")] = None,
    timezone: ZoneOption = "Asia/Tokyo",
) -> None:
    """Make a key. It alone goes to standard output, and it is never shown again."""
    desk, zone = context.ensure_object(Desk), _zone(timezone)
    budget = Budget(_usd_micros(usd_per_day), _tokens(tokens_per_day))
    expires_at = _expires_at(expires, days, zone, desk.now())
    token, key_id, record = new_key(
        desk.random_bytes, expires_at=expires_at, note=_note(note), budget=budget
    )
    with _asking(table):
        desk.keys(table).put(key_id, record)
    until = "forever" if expires_at is None else f"until {_last(expires_at, zone)} in {timezone}"
    limits = f"{' and '.join(_limits(budget))} a day" if budget else "no limit"
    _remark(f"key {key_id} holds {until}, {limits}; keep it, only its hash is stored:")
    typer.echo(token)


@keys_app.command(name="list")
def list_command(
    context: typer.Context, table: TableOption, timezone: ZoneOption = "Asia/Tokyo"
) -> None:
    """Show every key, its budget and what it has spent today."""
    desk = context.ensure_object(Desk)
    zone, now = _zone(timezone), desk.now()
    day = budget_day(now, zone)
    with _asking(table):
        records = sorted(desk.keys(table).list(), key=lambda found: (found[1].note, found[0]))
        budgets = desk.budgets(table)
        # What a key without a budget spends is not counted, and nothing must not be said of it.
        spent = {name: budgets.spent(name, day) for name, record in records if record.budget}
    if not records:
        _remark(f"no keys in table {table}")
        return
    shown = Table(box=None, pad_edge=False)
    for head in ("key id", "note", "budget a day", f"spent {day.name}", "holds until", "state"):
        shown.add_column(head, no_wrap=head != "note", overflow="fold")
    for key_id, record in records:
        shown.add_row(*_cells(key_id, record, spent.get(key_id), zone, now))
    _show(shown)


@keys_app.command(name="revoke")
def revoke_command(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(help="What stands after `rg-` in the key.")],
    table: TableOption,
) -> None:
    """Refuse a key from now on; no command takes that back."""
    if (token := parse_token(key_id)) is not None:
        raise ConfigurationError(f"that is a whole key; give its id alone: {token.key_id}")
    if not is_key_id(key_id):
        raise ConfigurationError("a key id is made of letters and digits; `keys list` shows them")
    with _asking(table):
        known = context.ensure_object(Desk).keys(table).revoke(key_id)
    if not known:
        raise ConfigurationError(f"no key {key_id} in table {table}; `keys list` shows them")
    console.print(
        f"revoked: {key_id}; API Gateway may still honour it for up to {_CACHE_SECONDS} seconds",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _show(table: Table) -> None:
    """Print a table whose figures are whole: where it is too wide, only its notes are folded."""
    endless = console.options.update(max_width=10**6)
    wide = console.measure(table, options=endless).maximum
    if console.is_terminal:
        (notes,) = (column for column in table.columns if not column.no_wrap)
        longest = max(console.measure(cell, options=endless).maximum for cell in notes.cells)
        wide = max(console.width, wide - max(0, longest - _NARROWEST_NOTE))
    # A terminal narrower than that breaks the lines itself, and loses nothing.
    Console(width=wide).print(table, crop=False)


def _usd_micros(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        usd = Decimal(text)
        fits = 0 <= usd <= _MOST_USD
    except InvalidOperation as error:  # "NaN" is a number that cannot be compared
        raise _refusal("--usd-per-day", text, "give an amount such as 2.50") from error
    if not fits:
        raise _refusal("--usd-per-day", text, f"it may be 0 to {_MOST_USD:,}")
    try:
        return int(usd.quantize(Decimal(1) / MICRO, context=_EXACT) * MICRO)
    except Inexact as error:
        raise _refusal("--usd-per-day", text, "nothing finer than 0.000001 counts") from error


def _tokens(tokens: int | None) -> int | None:
    if tokens is not None and not 0 <= tokens <= _MOST_TOKENS:
        raise _refusal("--tokens-per-day", str(tokens), f"it may be 0 to {_MOST_TOKENS:,}")
    return tokens


def _expires_at(expires: str | None, days: int | None, zone: tzinfo, now: float) -> int | None:
    if expires is not None and days is not None:
        raise ConfigurationError("give --expires or --days, not both")
    if days is not None:
        if not 1 <= days <= _MOST_DAYS:
            raise _refusal("--days", str(days), f"it may be 1 to {_MOST_DAYS:,}")
        return int(now) + days * _DAY_SECONDS
    if expires is None:
        return None
    try:
        end = int(end_of(date.fromisoformat(expires), zone))
    except (ValueError, OverflowError) as error:
        raise _refusal("--expires", expires, "give a day such as 2027-03-31") from error
    if end <= now:
        raise _refusal("--expires", expires, "that day is over")
    return end


def _note(note: str | None) -> str:
    if note is None:
        return ""
    if not note.strip() or len(note) > _LONGEST_NOTE or not note.isprintable():
        raise ConfigurationError(
            f"--note must be 1 to {_LONGEST_NOTE} characters that can be printed, on one line"
        )
    return note.strip()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _refusal("--timezone", name, "use a name such as Asia/Tokyo or UTC") from error


def _refusal(option: str, text: str, cure: str) -> ConfigurationError:
    return ConfigurationError(f"{option} is {text[:_LONGEST_NOTE]!r}: {cure}")


def _cells(
    key_id: str, record: KeyRecord, spent: Amount | None, zone: tzinfo, now: float
) -> Iterator[Text]:
    expired = record.expires_at is not None and record.expires_at <= now
    state = "revoked" if record.revoked else "expired" if expired else "good"
    used = ("not counted",) if spent is None else _limits(Budget(spent.usd_micros, spent.tokens))
    until = "forever" if record.expires_at is None else _last(record.expires_at, zone)
    budget = "\n".join(_limits(record.budget)) or "no limit"
    for cell in (key_id, record.note, budget, "\n".join(used), until, state):
        # Others may have written the note: nothing in it may steer the terminal.
        yield Text("".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in cell))


def _limits(budget: Budget) -> list[str]:
    limits = []
    if budget.usd_micros is not None:
        usd = f"{Decimal(budget.usd_micros) / MICRO:,.6f}".rstrip("0").rstrip(".")
        limits.append(f"{usd} USD")
    if budget.tokens is not None:
        limits.append(f"{budget.tokens:,} tokens")
    return limits


def _last(expires_at: int, zone: tzinfo) -> str:
    """Return the last day that a key holds on, with the last minute where it is not midnight's."""
    try:
        last = datetime.fromtimestamp(expires_at - 1, zone)
        ends_day = end_of(last.date(), zone) == expires_at
        return f"{last:%Y-%m-%d}" if ends_day else f"{last:%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return str(expires_at)


def _remark(text: str) -> None:
    remarks.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _asking(table: str) -> Iterator[None]:
    """Say of which table an error speaks, and what kind of error it was."""
    try:
        yield
    except StoreError as error:
        cause = type(error.__cause__).__name__
        raise StoreError(f"{error} (table {table}, {cause})") from error
