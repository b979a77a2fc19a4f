"""Samples: each stored once, under the day it was decided, or delivered again."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from hypothesis import given
from hypothesis import strategies as st

from collector.bootstrap import Application
from collector.handler import handle
from collector.services import SampleService
from regroup.adapters.telemetry import PowertoolsTelemetry
from regroup.errors import DataError, StoreError
from tests.local.fakes import PATIENT, MemoryStore, RecordingTelemetry

TOKYO = ZoneInfo("Asia/Tokyo")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
CANARY = "canary-7f3a"


@dataclass(slots=True)
class FakeContext:
    """Lambda's context as far as the handler looks at it."""

    aws_request_id: str = "request-1"


def interaction(name: object = "0123abcd", **changes: object) -> dict[str, object]:
    message: dict[str, object] = {
        "event": "interaction",
        "schema": 1,
        "id": name,
        "text": "東京の天気は。",
        "answer": "晴れ\n😀",
        "inclusion_probability": 0.1,
        "decision": {"at": NOON, "routed_model": "haiku"},
    }
    return message | changes


def record(message_id: str, body: object) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"messageId": message_id, "body": text, "eventSource": "aws:sqs"}


def service(store: MemoryStore, timezone: tzinfo = UTC) -> SampleService:
    return SampleService(store, RecordingTelemetry(), timezone)


def deliver(store: MemoryStore, *records: object) -> Mapping[str, Any]:
    telemetry = PowertoolsTelemetry(component=uuid4().hex)
    app = Application(SampleService(store, telemetry, UTC), telemetry)
    return handle(app, {"Records": list(records)}, FakeContext())


# One message


def test_a_sample_is_one_line_of_json_with_its_text_verbatim() -> None:
    store = MemoryStore()

    service(store).keep(json.dumps(interaction()))

    ((key, content),) = store.objects.items()
    assert key == "interactions/2026/11/24/0123abcd.jsonl"
    assert content.endswith(b"\n")
    assert content.count(b"\n") == 1
    assert json.loads(content) == interaction()
    assert "東京の天気は。".encode() in content


def test_fields_of_a_later_version_are_kept() -> None:
    store = MemoryStore()
    message = interaction(reward_model="next year's", decision={"at": NOON, "new": {"x": [1]}})
    service(store).keep(json.dumps(message))
    assert json.loads(store.objects["interactions/2026/11/24/0123abcd.jsonl"]) == message


@pytest.mark.parametrize(
    ("moment", "timezone", "day"),
    [
        ("2026-11-24T14:59:59.999+00:00", TOKYO, "2026/11/24"),
        ("2026-11-24T15:00:00+00:00", TOKYO, "2026/11/25"),
        ("2026-11-24T15:00:00+00:00", UTC, "2026/11/24"),
        ("2026-12-31T15:00:00+00:00", TOKYO, "2027/01/01"),
        ("2026-11-24T23:59:59+00:00", UTC, "2026/11/24"),
        ("2026-11-25T00:00:00+00:00", UTC, "2026/11/25"),
        ("2026-11-24T04:59:59+00:00", ZoneInfo("America/New_York"), "2026/11/23"),
        ("2026-11-24T05:00:00+00:00", ZoneInfo("America/New_York"), "2026/11/24"),
        # Clocks went back at 06:00 UTC that day, so the day lasted 25 hours.
        ("2026-11-02T04:59:59+00:00", ZoneInfo("America/New_York"), "2026/11/01"),
    ],
)
def test_the_day_is_parted_by_the_deployments_midnight(
    moment: str, timezone: tzinfo, day: str
) -> None:
    message = interaction(decision={"at": datetime.fromisoformat(moment).timestamp()})
    key = service(MemoryStore(), timezone).key_of(message)
    assert key == f"interactions/{day}/0123abcd.jsonl"


@pytest.mark.parametrize("name", ["a", "0", "a-b", "f" * 32, "a" * 64])
def test_ids_of_ours_are_taken(name: str) -> None:
    key = service(MemoryStore()).key_of(interaction(name))
    assert key == f"interactions/2026/11/24/{name}.jsonl"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../../artifacts/pointer",
        "a/b",
        "a\\b",
        "a.jsonl",
        "a b",
        "a\n",
        "a\0",
        "A",
        "é",
        "日本",
        "\uff41",
        "\u0661",
        "%2e%2e",
        "a" * 65,
        "a" * 1_000_000,
        None,
        7,
        True,
        ["a"],
        {"a": 1},
    ],
    ids=lambda name: repr(name)[:20],
)
def test_a_hostile_id_is_refused(name: object) -> None:
    store = MemoryStore()
    with pytest.raises(DataError):
        service(store).keep(json.dumps(interaction(name)))
    assert store.objects == {}


@PATIENT
@given(st.text(st.characters(), max_size=70))
def test_no_id_leads_out_of_its_folder(name: str) -> None:
    try:
        key = service(MemoryStore()).key_of(interaction(name))
    except DataError:
        return
    assert key == f"interactions/2026/11/24/{name}.jsonl"
    assert name.isascii()
    assert "/" not in name


@pytest.mark.parametrize(
    "decision",
    [
        None,
        [],
        "now",
        {},
        {"at": None},
        {"at": "1790000000"},
        {"at": True},
        {"at": 1e18},
        {"at": -1e18},
        {"at": 10**400},
        {"at": float("nan")},
        {"at": float("inf")},
    ],
    ids=lambda decision: repr(decision)[:30],
)
def test_a_decision_without_a_time_is_refused(decision: object) -> None:
    with pytest.raises(DataError):
        service(MemoryStore()).keep(json.dumps(interaction(decision=decision)))


@pytest.mark.parametrize(
    "body",
    [
        "",
        CANARY,
        "{",
        "null",
        "[]",
        '"interaction"',
        "[" * 100_000,
        "1" * 5_000,
        json.dumps({"event": "interaction"}),
        json.dumps(interaction(event="decision")),
        json.dumps(interaction(event=None)),
        json.dumps(interaction(schema=2)),
        json.dumps(interaction(schema=0)),
        json.dumps(interaction(schema="1")),
        json.dumps(interaction(schema=None)),
        json.dumps(interaction(text=f"{CANARY} \ud83d")),
    ],
    ids=lambda body: body[:40] or "empty",
)
def test_what_is_no_interaction_of_this_schema_is_refused_without_quoting_it(body: str) -> None:
    store = MemoryStore()
    with pytest.raises(DataError) as caught:
        service(store).keep(body)
    assert store.objects == {}
    assert CANARY not in str(caught.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
likely = st.fixed_dictionaries(
    {
        "event": st.just("interaction"),
        "schema": st.just(1),
        "id": st.text("abc-0", min_size=1, max_size=5) | anything,
        "decision": st.fixed_dictionaries({"at": st.floats(0, 4e9) | anything}) | anything,
    },
    optional={"text": anything},
)


@PATIENT
@given(anything | likely)
def test_any_json_is_stored_or_refused(message: object) -> None:
    store = MemoryStore()
    try:
        service(store).keep(json.dumps(message))
    except DataError:
        assert store.objects == {}
    else:
        assert len(store.objects) == 1


# Batches


def test_of_a_batch_only_the_bad_record_is_delivered_again() -> None:
    store = MemoryStore()

    answer = deliver(
        store,
        record("1", interaction("a")),
        record("2", "not JSON"),
        record("3", interaction("b")),
    )

    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert sorted(store.objects) == [
        "interactions/2026/11/24/a.jsonl",
        "interactions/2026/11/24/b.jsonl",
    ]


def test_what_the_store_did_not_take_is_delivered_again() -> None:
    store = MemoryStore(fails_on="/b.jsonl")
    records = [record("1", interaction("a")), record("2", interaction("b"))]

    assert deliver(store, *records) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    store.fails_on = None
    assert deliver(store, records[1]) == {"batchItemFailures": []}
    assert len(store.objects) == 2


@pytest.mark.parametrize("number", [1, 3])
def test_a_batch_of_which_all_fails_fails_itself_and_quotes_no_text(number: int) -> None:
    records = [
        record(str(n), json.dumps(interaction(schema=2, text=CANARY)) + CANARY)
        for n in range(number)
    ]
    with pytest.raises(BatchProcessingError) as caught:
        deliver(MemoryStore(), *records)
    assert CANARY not in str(caught.value)


def test_an_unavailable_store_fails_the_whole_batch() -> None:
    with pytest.raises(BatchProcessingError, match="takes nothing"):
        deliver(MemoryStore(fails_on="interactions"), record("1", interaction()))


def test_a_batch_without_records_is_done() -> None:
    assert deliver(MemoryStore()) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"detail-type": "Scheduled Event"},
        {"httpMethod": "GET", "path": "/", "body": None},
        {"Records": None},
        {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "k"}}}]},
        {"Records": [{"Sns": {"Message": "{}"}}]},
    ],
    ids=["empty", "schedule", "proxy", "null", "S3", "SNS"],
)
def test_an_event_of_another_service_raises(event: dict[str, Any]) -> None:
    store, telemetry = MemoryStore(), PowertoolsTelemetry(component=uuid4().hex)
    app = Application(SampleService(store, telemetry, UTC), telemetry)
    with pytest.raises((KeyError, TypeError, BatchProcessingError)):
        handle(app, event, FakeContext())
    assert store.objects == {}


def test_the_log_of_failures_names_the_reason_and_no_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    deliver(
        MemoryStore(fails_on="/b.jsonl"),
        record("1", interaction("a")),
        record("2", interaction("b", text=CANARY)),
        record("3", f"{{{CANARY}"),
    )
    out = capsys.readouterr().out
    *lines, metrics = map(json.loads, out.splitlines())
    assert [(line["message"], line["error_type"]) for line in lines] == [
        ("sample not stored: the fake store takes nothing", StoreError.__name__),
        ("sample not stored: a message is not JSON", DataError.__name__),
    ]
    assert metrics["SamplesFailed"] == [1.0, 1.0]
    assert metrics["SamplesStored"] == [1.0]
    assert CANARY not in out


# Deliveries of the same message


def test_a_message_delivered_twice_is_stored_once_and_both_succeed() -> None:
    store = MemoryStore()
    one = record("1", interaction())
    for records in ([one], [one, {**one, "messageId": "2"}]):
        assert deliver(store, *records) == {"batchItemFailures": []}
    assert len(store.objects) == 1


def test_a_message_delivered_to_two_functions_at_once_is_stored_once() -> None:
    store, telemetry = MemoryStore(), RecordingTelemetry()
    samples = SampleService(store, telemetry, UTC)
    barrier = threading.Barrier(2, timeout=10)

    def keep() -> None:
        barrier.wait()
        samples.keep(json.dumps(interaction()))

    threads = [threading.Thread(target=keep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)

    assert len(store.objects) == 1
    assert telemetry.counts == {"SamplesStored": 1, "SamplesRepeated": 1}
