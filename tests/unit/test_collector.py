"""Samples and rewards: each stored once, under its day, or delivered again."""

import json
import re
import threading
from collections.abc import Callable, Mapping
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
from regroup.domain.feedback import DecisionRecord, reward_line
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


def reward(name: object = "0123abcd", **changes: object) -> dict[str, object]:
    message: dict[str, object] = {
        "event": "reward_scored",
        "schema": 1,
        "at": NOON,
        "decision_id": name,
        "decided_at": NOON - 90_000,
        "reward_score": 0.25,
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
    key = service(MemoryStore()).key_of(reward(name))
    assert re.fullmatch(rf"rewards/2026/11/24/{name}-[0-9a-f]{{12}}\.jsonl", key)


@pytest.mark.parametrize("message", [interaction, reward])
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
def test_a_hostile_id_is_refused(name: object, message: Callable[[object], object]) -> None:
    store = MemoryStore()
    with pytest.raises(DataError):
        service(store).keep(json.dumps(message(name)))
    assert store.objects == {}


@PATIENT
@given(st.text(st.characters(), max_size=70))
def test_no_id_leads_out_of_its_folder(name: str) -> None:
    try:
        keys = [service(MemoryStore()).key_of(message(name)) for message in (interaction, reward)]
    except DataError:
        return
    assert keys[0] == f"interactions/2026/11/24/{name}.jsonl"
    assert keys[1].startswith(f"rewards/2026/11/24/{name}-")
    assert name.isascii()
    assert "/" not in name


NO_DECISIONS: list[object] = [None, [], "now", {}]
NO_TIMES: list[object] = [
    None,
    "1790000000",
    True,
    [NOON],
    1e18,
    -1e18,
    10**400,
    float("nan"),
    float("inf"),
]


@pytest.mark.parametrize(
    "message",
    [
        *(interaction(decision=decision) for decision in NO_DECISIONS),
        *(interaction(decision={"at": at}) for at in NO_TIMES),
        *(reward(at=at) for at in NO_TIMES),
    ],
    ids=lambda message: repr(message.get("decision", message.get("at")))[:30],
)
def test_a_message_without_a_time_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(DataError):
        service(MemoryStore()).keep(json.dumps(message))


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
        json.dumps(interaction(note=[CANARY, float("nan")])),
        json.dumps({"event": "reward_scored"}),
        json.dumps(reward(schema=2)),
        json.dumps(reward(schema=None)),
        json.dumps(reward(event=["reward_scored"])),
        json.dumps(reward(event={"reward_scored": CANARY})),
        json.dumps(reward(reward_score=float("nan"))),
    ],
    ids=lambda body: body[:40] or "empty",
)
def test_what_is_of_no_known_kind_and_schema_is_refused_without_quoting_it(body: str) -> None:
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
        "event": st.sampled_from(["interaction", "reward_scored"]),
        "schema": st.just(1),
        "at": st.floats(0, 4e9) | anything,
        "id": st.text("abc-0", min_size=1, max_size=5) | anything,
        "decision_id": st.text("abc-0", min_size=1, max_size=5) | anything,
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


# Rewards


def test_a_reward_is_one_line_of_json_under_the_day_it_came() -> None:
    store = MemoryStore()

    service(store).keep(json.dumps(reward()))

    ((key, content),) = store.objects.items()
    # The decision was made the day before.
    assert re.fullmatch(r"rewards/2026/11/24/0123abcd-[0-9a-f]{12}\.jsonl", key)
    assert content.endswith(b"\n")
    assert content.count(b"\n") == 1
    assert json.loads(content) == reward()


@pytest.mark.parametrize(("timezone", "day"), [(UTC, "2026/11/24"), (TOKYO, "2026/11/25")])
def test_the_day_of_a_reward_is_parted_by_the_deployments_midnight(
    timezone: tzinfo, day: str
) -> None:
    at = datetime(2026, 11, 24, 15, tzinfo=UTC).timestamp()
    assert service(MemoryStore(), timezone).key_of(reward(at=at)).startswith(f"rewards/{day}/")


def test_a_reward_delivered_twice_is_stored_once_whatever_the_order_of_its_fields() -> None:
    store, telemetry = MemoryStore(), RecordingTelemetry()
    samples = SampleService(store, telemetry, UTC)
    samples.keep(json.dumps(reward()))
    samples.keep(json.dumps(dict(reversed(reward().items()))))
    assert len(store.objects) == 1
    assert telemetry.counts == {"RewardsStored": 1, "RewardsRepeated": 1}


@pytest.mark.parametrize("change", [{"reward_score": 1.0}, {"at": NOON + 1}], ids=str)
def test_a_decision_that_is_judged_again_has_another_object(change: dict[str, object]) -> None:
    store = MemoryStore()
    for message in (reward(), reward(**change)):
        service(store).keep(json.dumps(message))
    kept = [json.loads(content) for content in store.objects.values()]
    assert kept == [reward(), reward(**change)]


def test_a_reward_is_taken_as_the_classifier_writes_it() -> None:
    store = MemoryStore()
    decided = DecisionRecord("0123abcd", "key-1", NOON - 60, "haiku", 3, None, "balanced")
    service(store).keep(json.dumps(reward_line(decided, 1.0, at=NOON)))
    (key,) = store.objects
    assert key.startswith("rewards/2026/11/24/0123abcd-")


# Batches


def test_of_a_batch_only_the_bad_record_is_delivered_again() -> None:
    store = MemoryStore()

    answer = deliver(
        store,
        record("1", interaction("a")),
        record("2", "not JSON"),
        record("3", interaction("b")),
        record("4", {"event": "decision", "schema": 1}),
        record("5", reward("c")),
    )

    failed = [{"itemIdentifier": "2"}, {"itemIdentifier": "4"}]
    assert answer == {"batchItemFailures": failed}
    assert sorted(store.objects) == [
        "interactions/2026/11/24/a.jsonl",
        "interactions/2026/11/24/b.jsonl",
        service(store).key_of(reward("c")),
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
