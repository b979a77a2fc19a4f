"""`regroup smoke`: a deployment is asked with a key of its own, and what was seen is shown."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from regroup.adapters.cloudwatch_logs import CloudWatchLogs
from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.domain.budget import Budget
from regroup.domain.keys import new_key
from regroup.errors import StoreError
from regroup.ports import Clock
from training.http_transport import http_transport
from training.smoke import Check, Result, Transport, World, smoke
from training.terminal import say, show, texts

_KEY_SECONDS = 3_600
_KEY_USD_MICROS = 100_000
"""The smoke test's key may cost 0.10 USD a day."""
_SECRET_BYTES, _CANARY_BYTES = 32, 8
_SKEW_SECONDS = 300
"""By so much the clock here may be ahead of the functions'."""

smoke_app = typer.Typer()
remarks = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Trial:
    """What the command asks of the world."""

    keys: Callable[[str], DynamoKeyStore] = DynamoKeyStore.connect
    logs: Callable[[], CloudWatchLogs] = CloudWatchLogs.connect
    transport: Callable[[str], Transport] = http_transport
    clock: Clock = Clock(wall=time.time, monotonic=time.monotonic)  # noqa: RUF009 (it is frozen)
    sleep: Callable[[float], None] = time.sleep
    random_bytes: Callable[[int], bytes] = secrets.token_bytes


@smoke_app.command(name="smoke")
def smoke_command(
    context: typer.Context,
    url: Annotated[str, typer.Option(help="Where the API is served: Terraform's output api_url.")],
    keys_table: Annotated[str, typer.Option(help="Terraform's output keys_table.")],
    log_group: Annotated[
        str,
        typer.Option(help="The classifier's log group: Terraform's output classifier_log_group."),
    ],
    model: Annotated[str, typer.Option(help="As a client would name it.")] = "regroup",
) -> None:
    """Ask a deployment a few questions with a key of its own, and look for the line in its log.

    It costs less than a cent. The key holds an hour at most and is revoked at the end.

    The status is 0 where no check fails.
    """
    trial = context.ensure_object(Trial)
    send, logs, keys = trial.transport(url), trial.logs(), trial.keys(keys_table)
    began = trial.clock.wall()
    token, key_id, record = new_key(
        trial.random_bytes,
        expires_at=int(began) + _KEY_SECONDS,
        note="smoke",
        budget=Budget(usd_micros=_KEY_USD_MICROS),
    )

    def search(pattern: str) -> Iterator[str]:
        found = logs.search(log_group, pattern, since=began - _SKEW_SECONDS)
        return (one.message for one in found)

    world = World(send, search, trial.clock, trial.sleep)
    checks: list[Check] = []
    try:
        with _naming(keys_table):
            keys.put(key_id, record)
        with remarks.status(f"asking {url}, then waiting for its log"):
            checks += smoke(
                world,
                token=token,
                wrong_token=f"rg-{key_id}-{trial.random_bytes(_SECRET_BYTES).hex()}",
                model=model,
                canary=f"canary{trial.random_bytes(_CANARY_BYTES).hex()}",
            )
    finally:
        checks.append(_revoked(keys, key_id, keys_table))
        show_checks(checks)
    if any(one.result is Result.FAILED for one in checks):
        raise typer.Exit(1)


def show_checks(checks: Sequence[Check]) -> None:
    """Print a row for each check, and below what is to be done about those that failed."""
    table = Table(box=None, pad_edge=False)
    for head in ("what", "result", "saw"):
        table.add_column(head, no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    for one in checks:
        took = "" if one.ms is None else f"{one.ms:,.0f}"
        table.add_row(*texts((one.what, one.result, one.saw, took)))
    show(table)
    failed = [one for one in checks if one.result is Result.FAILED]
    for one in failed:
        say(f"{one.what}: {one.cure}")
    made = sum(one.result is not Result.NOT_MADE for one in checks)
    say(f"{made - len(failed)} of {len(checks)} checks are ok, {len(failed)} failed")


def _revoked(keys: DynamoKeyStore, key_id: str, table: str) -> Check:
    what = "the key is revoked"
    try:
        known = keys.revoke(key_id)
    except StoreError as error:
        cure = f"it holds for an hour at most: regroup keys revoke {key_id} --table {table}"
        return Check(what, Result.FAILED, str(error), cure=cure)
    return Check(what, Result.OK, key_id if known else "there is none")


@contextmanager
def _naming(table: str) -> Iterator[None]:
    """Say of which table an error speaks, and what kind of error it was."""
    try:
        yield
    except StoreError as error:
        cause = type(error.__cause__).__name__
        raise StoreError(f"{error} (table {table}, {cause})") from error
