"""Log lines and metrics as CloudWatch reads them."""

import json
import threading
from typing import Any
from uuid import uuid4

import pytest

from regroup.adapters.telemetry import PowertoolsTelemetry
from regroup.errors import StoreError

CANARY = "canary-7f3a"


def fresh_telemetry() -> PowertoolsTelemetry:
    """Return one with a name of its own: Powertools keeps a logger, and its stream, by name."""
    return PowertoolsTelemetry(component=uuid4().hex)


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_event_is_one_line_of_json_with_its_fields_at_the_top(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = fresh_telemetry()
    fields: dict[str, object] = {
        "event": "decision",
        "schema": 1,
        "routed_model": "haiku",
        "mask": {"haiku": None, "sonnet": "cooling_down"},
        "cost_usd": 0.00125,
        "key_id": "キー\n2",
    }
    telemetry.event({**fields, "version": None})

    (line,) = printed(capsys)
    assert {name: line[name] for name in fields} == fields
    # Powertools leaves out a field that is None, which Logs Insights reads as the same.
    assert "version" not in line
    assert line["level"] == "INFO"
    assert line["message"] == "decision"


def test_each_event_is_a_line_of_its_own_and_keeps_nothing_of_the_one_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = fresh_telemetry()
    telemetry.event({"event": "first", "only_here": 1})
    telemetry.event({"event": "second"})

    first, second = printed(capsys)
    assert (first["event"], second["event"]) == ("first", "second")
    assert "only_here" not in second


def test_a_failure_is_told_by_types_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = fresh_telemetry()
    error = StoreError(CANARY)
    error.__cause__ = ValueError(f"the request was {CANARY}")
    telemetry.failure("sample not stored", error)
    try:
        raise StoreError(CANARY) from KeyError(CANARY)
    except StoreError as caught:
        telemetry.failure("from within a handler", caught)
    telemetry.failure("without a cause", StoreError(CANARY))

    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert CANARY not in out
    assert [(line["message"], line["error_type"], line.get("cause_type")) for line in lines] == [
        ("sample not stored", "StoreError", "ValueError"),
        ("from within a handler", "StoreError", "KeyError"),
        ("without a cause", "StoreError", None),
    ]
    assert {line["level"] for line in lines} == {"ERROR"}


def test_the_metrics_of_an_invocation_are_one_line_in_our_namespace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = fresh_telemetry()
    with telemetry.invocation("request-1"):
        telemetry.count("Decisions")
        telemetry.count("Fallbacks", 0)
        telemetry.count("Fallbacks", 2)
        telemetry.event({"event": "decision"})

    line, metrics = printed(capsys)
    assert line["correlation_id"] == "request-1"
    (described,) = metrics["_aws"]["CloudWatchMetrics"]
    assert described["Namespace"] == "regroup"
    assert {metric["Name"]: metric["Unit"] for metric in described["Metrics"]} == {
        "ColdStart": "Count",
        "Decisions": "Count",
        "Fallbacks": "Count",
    }
    assert metrics["ColdStart"] == [1.0]
    assert metrics["Decisions"] == [1.0]
    assert sum(metrics["Fallbacks"]) == 2.0
    assert metrics["service"].startswith("regroup-")


def test_only_the_first_invocation_is_a_cold_start_and_each_counts_for_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = fresh_telemetry()
    for request_id in ("one", "two"):
        with telemetry.invocation(request_id):
            telemetry.count("Decisions")

    first, second = printed(capsys)
    assert (first["ColdStart"], second["ColdStart"]) == ([1.0], [0.0])
    assert (first["Decisions"], second["Decisions"]) == ([1.0], [1.0])


def test_an_invocation_that_fails_writes_its_metrics_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = fresh_telemetry()

    def fail() -> None:
        with telemetry.invocation("one"):
            telemetry.count("Decisions")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    (metrics,) = printed(capsys)
    assert metrics["Decisions"] == [1.0]


def test_what_several_threads_count_in_one_invocation_adds_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = fresh_telemetry()

    def count(name: str) -> None:
        for _ in range(20):
            telemetry.count(name)
            telemetry.count("Shared")

    threads = [threading.Thread(target=count, args=(f"Own{number}",)) for number in range(4)]
    with telemetry.invocation("one"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    (metrics,) = printed(capsys)
    assert [sum(metrics[f"Own{number}"]) for number in range(4)] == [20.0] * 4
    assert sum(metrics["Shared"]) == 80.0
