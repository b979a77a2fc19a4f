"""The smoke test against the whole deployment on loopback, over real HTTP and with real boto3."""

import time
from collections.abc import Iterator
from datetime import UTC
from itertools import count
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from regroup.adapters.cloudwatch_logs import CloudWatchLogs
from regroup.adapters.dynamodb_keys import DynamoKeyStore
from tests.local.api_client import decisions, send
from tests.local.stack import KEYS_TABLE, LocalStack
from training.http_transport import http_transport
from training.smoke_cli import Trial, smoke_app
from training.watch_cli import Watch, watch_app

_groups = count()


class Observed:
    """A running stack, and the log group that its function's lines come to, as in AWS: later."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.group = f"/aws/lambda/smoke{next(_groups)}-classifier"
        self.logs = stack.aws.client("logs")
        self.logs.create_log_group(logGroupName=self.group)
        self.logs.create_log_stream(logGroupName=self.group, logStreamName="instance")
        self._shipped = 0

    def ship(self, _seconds: float) -> None:
        """Bring what was written since the last time into the log group, in place of a sleep."""
        lines = self.stack.function.log_lines
        new, self._shipped = lines[self._shipped :], len(lines)
        now_ms = int(time.time() * 1000)
        events = [{"timestamp": now_ms, "message": line} for line in new if line.strip()]
        if events:
            self.logs.put_log_events(
                logGroupName=self.group, logStreamName="instance", logEvents=events
            )

    def smoke(self, *words: str, keys_table: str = KEYS_TABLE) -> Result:
        trial = Trial(
            keys=lambda table: DynamoKeyStore(table, self.stack.aws.client("dynamodb")),
            logs=lambda: CloudWatchLogs(self.logs),
            transport=http_transport,
            sleep=self.ship,
        )
        where = ["--url", self.stack.url, "--keys-table", keys_table, "--log-group", self.group]
        return self._invoke(smoke_app, [*where, *words], trial)

    def read_log(self) -> Result:
        watch = Watch(logs=lambda: CloudWatchLogs(self.logs), zone=UTC)
        return self._invoke(watch_app, ["logs", "--log-group", self.group], watch)

    def _invoke(self, app: Typer, words: list[str], world: Trial | Watch) -> Result:
        return CliRunner(env={"COLUMNS": "250"}).invoke(app, words, obj=world)


@pytest.fixture(scope="module")
def routed(small_router: tuple[Path, str]) -> Iterator[LocalStack]:
    with LocalStack(artifact=small_router[0]) as running:
        yield running


def row(result: Result, first: str) -> str:
    return next(line for line in result.stdout.splitlines() if line.startswith(first))


def test_a_sound_deployment_with_a_router_passes(routed: LocalStack) -> None:
    result = Observed(routed).smoke()

    assert result.exit_code == 0, result.output
    assert "10 of 10 checks are ok, 0 failed" in result.stdout
    assert row(result, "its prediction is remembered").split()[4:6] == ["ok", "memory"]
    assert "router " in row(result, "GET /healthz")


def test_its_key_is_refused_afterwards(routed: LocalStack) -> None:
    Observed(routed).smoke()

    store = DynamoKeyStore(KEYS_TABLE, routed.aws.client("dynamodb"))
    mine = [record for _, record in store.list() if record.note == "smoke"]
    assert mine
    assert all(record.revoked for record in mine)


def test_the_decision_that_it_found_is_the_one_that_logs_shows(routed: LocalStack) -> None:
    observed = Observed(routed)
    observed.smoke("--model", "haiku")
    result = observed.read_log()

    newest = decisions(routed)[-2]
    assert newest["routed_model"] == "haiku"
    (shown,) = (one for one in result.stdout.splitlines() if newest["decision_id"] in one)
    assert shown.split()[2:5] == ["200", "haiku", "named"]
    assert f"{newest['cost_usd']:.6f}" in shown


def test_another_deployments_key_table_is_told(routed: LocalStack) -> None:
    routed.aws.create_table("others", "key_id")
    result = Observed(routed).smoke(keys_table="others")

    assert result.exit_code == 1
    assert "a chat is answered: the new key is not known there: --keys-table" in result.stdout


def test_a_log_group_that_is_not_there_is_told(routed: LocalStack) -> None:
    observed = Observed(routed)
    observed.group = "/aws/lambda/other"
    result = observed.smoke()

    assert result.exit_code == 1
    assert "there is no such log group" in result.stdout
    assert "8 of 10 checks are ok, 1 failed" in result.stdout


def test_no_other_key_is_revoked(routed: LocalStack) -> None:
    Observed(routed).smoke()
    assert send(routed, "/v1/models", method="GET").status == 200
