"""Feedback: who may judge which decision, and what becomes of the judgement."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from classifier.feedback import FeedbackService
from classifier.feedback_request import FeedbackRequest
from regroup.domain.feedback import DecisionRecord
from regroup.errors import StoreError, UnknownDecisionError, UnprocessableError
from regroup.ports import Clock
from tests.local.fakes import PATIENT, FakeDecisions, FakeQueue, RecordingTelemetry

NOW = 1_790_000_000.0
RECORD = DecisionRecord(
    decision_id="0123abcd",
    key_id="key-1",
    at=NOW - 60,
    routed_model="sonnet",
    cluster_id=3,
    version="d" * 64,
    preset="balanced",
)


class ForgetfulDecisions(FakeDecisions):
    """Forgets a decision an hour after it was made."""

    def get(self, decision_id: str, now: float) -> DecisionRecord | None:
        """Return what was put, for an hour."""
        record = super().get(decision_id, now)
        return record if record is not None and now < record.at + 3_600 else None


@dataclass(slots=True)
class Desk:
    """A service that knows one decision, and all that it writes."""

    decisions: FakeDecisions = field(default_factory=lambda: FakeDecisions({"0123abcd": RECORD}))
    queue: FakeQueue = field(default_factory=FakeQueue)
    telemetry: RecordingTelemetry = field(default_factory=RecordingTelemetry)
    now: float = NOW

    @property
    def service(self) -> FeedbackService:
        clock = Clock(wall=lambda: self.now, monotonic=lambda: 0.0)
        return FeedbackService(self.decisions, self.queue, self.telemetry, clock)

    def check_that_nothing_was_written(self) -> None:
        assert self.telemetry.lines == []
        assert self.telemetry.counts == {}
        assert self.queue.messages == []


# Judgements


def test_a_judgement_becomes_a_line_a_message_and_a_count() -> None:
    desk = Desk()

    line = desk.service.judge("0123abcd", 0.25, "key-1")

    assert line == {
        "event": "reward_scored",
        "schema": 1,
        "at": NOW,
        "decision_id": "0123abcd",
        "decided_at": NOW - 60,
        "reward_score": 0.25,
        "reward_model": "feedback",
        "routed_model": "sonnet",
        "cluster_id": 3,
        "version": "d" * 64,
        "preset": "balanced",
        "key_id": "key-1",
    }
    assert desk.telemetry.lines == desk.queue.messages == [line]
    assert desk.telemetry.counts == {"Feedback": 1}


def test_a_decision_may_be_judged_again() -> None:
    desk = Desk()
    desk.service.judge("0123abcd", 1.0, "key-1")
    desk.now += 5
    desk.service.judge("0123abcd", 0.0, "key-1")
    assert [(line["reward_score"], line["at"]) for line in desk.queue.messages] == [
        (1.0, NOW),
        (0.0, NOW + 5),
    ]


def test_without_a_queue_the_line_is_written_all_the_same() -> None:
    desk = Desk()
    line = replace(desk.service, queue=None).judge("0123abcd", 1.0, "key-1")
    assert desk.telemetry.lines == [line]
    assert desk.telemetry.counts == {"Feedback": 1}


def test_what_the_queue_does_not_take_is_in_the_log_and_is_counted() -> None:
    desk = Desk(queue=FakeQueue(fails=True))
    line = desk.service.judge("0123abcd", 1.0, "key-1")
    assert desk.telemetry.lines == [line]
    assert desk.telemetry.counts == {"Feedback": 1, "FeedbackLost": 1}


# Whose decision it is


@pytest.mark.parametrize(
    ("asked_by", "judged_by"),
    [("key-1", "key-2"), ("key-1", None), (None, "key-1"), (None, ""), ("", None), ("1", "10")],
)
def test_another_keys_decision_is_answered_as_one_that_was_never_made(
    asked_by: str | None, judged_by: str | None
) -> None:
    desk = Desk(FakeDecisions({"0123abcd": replace(RECORD, key_id=asked_by)}))

    with pytest.raises(UnknownDecisionError) as anothers:
        desk.service.judge("0123abcd", 1.0, judged_by)
    with pytest.raises(UnknownDecisionError) as never_made:
        desk.service.judge("ffff0000", 1.0, judged_by)

    assert str(anothers.value) == str(never_made.value)
    assert anothers.value.code == never_made.value.code == "decision_not_found"
    assert anothers.value.param == never_made.value.param == "decision_id"
    assert anothers.value.status == 404
    desk.check_that_nothing_was_written()


@given(st.none() | st.text(max_size=3), st.none() | st.text(max_size=3))
def test_only_who_asked_may_judge(asked_by: str | None, judged_by: str | None) -> None:
    desk = Desk(FakeDecisions({"0123abcd": replace(RECORD, key_id=asked_by)}))
    try:
        line = desk.service.judge("0123abcd", 1.0, judged_by)
    except UnknownDecisionError:
        assert asked_by != judged_by
    else:
        assert asked_by == judged_by == line["key_id"]


def test_a_forgotten_decision_is_answered_as_one_that_was_never_made() -> None:
    desk = Desk(ForgetfulDecisions({"0123abcd": RECORD}), now=RECORD.at + 3_599)
    desk.service.judge("0123abcd", 1.0, "key-1")
    desk = Desk(ForgetfulDecisions({"0123abcd": RECORD}), now=RECORD.at + 3_600)
    with pytest.raises(UnknownDecisionError, match="set by the deployment"):
        desk.service.judge("0123abcd", 1.0, "key-1")
    desk.check_that_nothing_was_written()


def test_the_sentence_does_not_repeat_what_was_asked_for() -> None:
    with pytest.raises(UnknownDecisionError) as caught:
        Desk().service.judge("canary-7f3a", 1.0, "key-1")
    assert "canary" not in str(caught.value)


def test_a_deployment_without_the_table_says_which_variable_is_missing() -> None:
    desk = Desk()
    with pytest.raises(UnprocessableError, match="DECISIONS_TABLE") as caught:
        replace(desk.service, store=None).judge("0123abcd", 1.0, "key-1")
    assert caught.value.code == "feedback_off"
    desk.check_that_nothing_was_written()


def test_a_table_that_fails_is_no_unknown_decision() -> None:
    desk = Desk(FakeDecisions(fails=True))
    with pytest.raises(StoreError):
        desk.service.judge("0123abcd", 1.0, "key-1")
    desk.check_that_nothing_was_written()


# The body


def parse(**fields: object) -> FeedbackRequest:
    return FeedbackRequest.model_validate({"decision_id": "0123abcd", **fields})


@pytest.mark.parametrize(
    ("judgement", "score"),
    [
        ({"thumbs": "up"}, 1.0),
        ({"thumbs": "down"}, 0.0),
        ({"reward": 0.0}, 0.0),
        ({"reward": 0.25}, 0.25),
        ({"reward": 1}, 1.0),
        ({"reward": 0}, 0.0),
        ({"reward": 0.5, "thumbs": None}, 0.5),
        ({"reward": None, "thumbs": "up"}, 1.0),
    ],
    ids=str,
)
def test_a_thumb_and_a_reward_are_scores(judgement: dict[str, object], score: float) -> None:
    found = parse(**judgement).score
    assert found == score
    assert isinstance(found, float)


@pytest.mark.parametrize(
    ("given_id", "decision_id"),
    [
        ("0123abcd", "0123abcd"),
        ("chatcmpl-0123abcd", "0123abcd"),
        ("f" * 32, "f" * 32),
        (f"chatcmpl-{'f' * 64}", "f" * 64),
        ("id-0", "id-0"),
    ],
)
def test_the_id_of_a_completion_will_do(given_id: str, decision_id: str) -> None:
    assert parse(decision_id=given_id, thumbs="up").decision_id == decision_id


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({}, "thumbs"),
        ({"reward": None, "thumbs": None}, "thumbs"),
        ({"reward": 0.5, "thumbs": "up"}, "thumbs"),
        ({"reward": 0.0, "thumbs": "down"}, "thumbs"),
        ({"thumbs": "sideways"}, "thumbs"),
        ({"thumbs": "UP"}, "thumbs"),
        ({"thumbs": True}, "thumbs"),
        ({"thumbs": ["up"]}, "thumbs"),
        ({"reward": -0.001}, "reward"),
        ({"reward": 1.001}, "reward"),
        ({"reward": float("nan")}, "reward"),
        ({"reward": float("inf")}, "reward"),
        ({"reward": 10**400}, "reward"),
        ({"reward": "0.5"}, "reward"),
        ({"reward": True}, "reward"),
        ({"reward": [0.5]}, "reward"),
        ({"reward": 2, "thumbs": "up"}, "reward"),
        ({"thumbs": "up", "comment": "nice"}, "comment"),
        ({"thumbs": "up", "decision_id": ""}, "decision_id"),
        ({"thumbs": "up", "decision_id": "chatcmpl-"}, "decision_id"),
        ({"thumbs": "up", "decision_id": "a" * 65}, "decision_id"),
        ({"thumbs": "up", "decision_id": "a" * 1_000_000}, "decision_id"),
        ({"thumbs": "up", "decision_id": "0123ABCD"}, "decision_id"),
        ({"thumbs": "up", "decision_id": "CHATCMPL-0123abcd"}, "decision_id"),
        ({"thumbs": "up", "decision_id": "0123abcd\n"}, "decision_id"),
        ({"thumbs": "up", "decision_id": " 0123abcd"}, "decision_id"),
        ({"thumbs": "up", "decision_id": "../0123"}, "decision_id"),
        ({"thumbs": "up", "decision_id": "0123\0"}, "decision_id"),
        ({"thumbs": "up", "decision_id": "０１２３"}, "decision_id"),
        ({"thumbs": "up", "decision_id": 123}, "decision_id"),
        ({"thumbs": "up", "decision_id": None}, "decision_id"),
        ({"thumbs": "up", "decision_id": ["0123abcd"]}, "decision_id"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_body_that_is_no_judgement_is_refused_at_its_field(
    fields: dict[str, object], place: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(**fields)
    assert caught.value.errors()[0]["loc"] == (place,)


def test_a_body_without_an_id_is_refused_at_it() -> None:
    with pytest.raises(ValidationError) as caught:
        FeedbackRequest.model_validate({"thumbs": "up"})
    assert caught.value.errors()[0]["loc"] == ("decision_id",)


def test_whoever_judges_twice_or_not_at_all_is_told_what_to_send() -> None:
    with pytest.raises(ValidationError) as caught:
        parse()
    assert caught.value.errors()[0]["msg"] == "Give either `reward` or `thumbs`"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@PATIENT
@given(
    st.fixed_dictionaries(
        {"decision_id": st.sampled_from(["0123abcd", "chatcmpl-ab"]) | anything},
        optional={
            "reward": st.floats(-1, 2) | anything,
            "thumbs": st.sampled_from(["up", "down"]) | anything,
        },
    )
)
def test_what_is_taken_is_one_score_between_0_and_1_of_an_id_of_ours(body: Any) -> None:
    try:
        request = FeedbackRequest.model_validate(body)
    except ValidationError:
        return
    assert 0 <= request.score <= 1
    assert (body.get("reward") is None) is not (body.get("thumbs") is None)
    assert set(request.decision_id) <= set("0123456789abcdefghijklmnopqrstuvwxyz-")
    assert 1 <= len(request.decision_id) <= 64
