"""One snapshot of the deployed function, restored twice."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_hot_reload import another, release
from tests.local.proxy_events import proxy_event
from tests.local.snapshot_process import RESTORES, Report, read_report
from tests.local.stack import ROOT, LocalStack

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Copies:
    """What came of one request before a snapshot and one after each restore."""

    frozen: Report
    restored: list[Report]
    lines: dict[str, dict[str, Any]]
    """Decision lines by decision id."""
    released: tuple[str, str]
    """What was live before the snapshot, and before the restores."""


@pytest.fixture(scope="module")
def stack(small_router: tuple[Path, str]) -> Iterator[LocalStack]:
    with LocalStack(artifact=small_router[0]) as running:
        yield running


@pytest.fixture(scope="module")
def copies(
    stack: LocalStack, small_router: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> Copies:
    folder = tmp_path_factory.mktemp("snapshot")
    artifact, first = small_router
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.local.snapshot_process", str(folder)],
            env={"PATH": "/usr/bin:/bin", **stack.environment()},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(f"{event('What is 12 times 7?')}\n{event('What is 8 times 9?')}\n")
        process.stdin.flush()
        said = process.stderr.readline()
        assert said == "frozen\n", said + process.stderr.read()
        second = release(stack, another(artifact, folder, "second"))
        _, errors = process.communicate("\n", timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return Copies(
        frozen=read_report(folder, "frozen"),
        restored=[read_report(folder, f"restored-{number}") for number in range(RESTORES)],
        lines={line["decision_id"]: line for line in lines if line.get("event") == "decision"},
        released=(first, second),
    )


def event(text: str) -> str:
    """Return a request of a key with a budget, so that every client is used."""
    body = {"model": "regroup-quality", "messages": [{"role": "user", "content": text}]}
    authorizer = {"key_id": "key-1", "daily_usd_micros": "10000000"}
    return json.dumps(
        proxy_event(
            "POST",
            "/v1/chat/completions",
            {},
            json.dumps(body).encode(),
            authorizer=authorizer,
            request_id="request-1",
        )
    )


def test_every_copy_answers(copies: Copies) -> None:
    assert [one.status for one in (copies.frozen, *copies.restored)] == [200] * (1 + RESTORES)


def test_no_two_copies_draw_the_same_id_or_the_same_chance(copies: Copies) -> None:
    everyone = (copies.frozen, *copies.restored)
    assert len({one.decision_id for one in everyone}) == len(everyone)
    assert len({one.luck for one in everyone}) == len(everyone)


def test_no_copy_uses_a_connection_of_the_snapshot(copies: Copies) -> None:
    assert copies.frozen.sockets != []
    for one in copies.restored:
        assert one.sockets != []
        assert set(one.sockets).isdisjoint(copies.frozen.sockets)


def test_what_is_live_at_the_restore_decides_from_the_first_request_on(copies: Copies) -> None:
    before, after = copies.released
    assert copies.lines[copies.frozen.decision_id]["version"] == before
    versions = [copies.lines[one.decision_id]["version"] for one in copies.restored]
    assert versions == [after] * RESTORES
