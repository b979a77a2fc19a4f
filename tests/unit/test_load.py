"""What the load benchmark counts as answered, late and lost."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from tests.bench.load import Dice, judge, read_lines
from tests.bench.load_clients import Outcome

GOOD = Outcome(200, 0.5, None, "a")


def line(decision_id: str = "a", **changes: object) -> dict[str, Any]:
    found: dict[str, Any] = {
        "event": "decision",
        "decision_id": decision_id,
        "status": 200,
        "fallbacks": 0,
        "mask": {"one": None, "two": "cooling_down", "three": "images"},
        "attempts": [{"model": "one", "error": None}],
    }
    return found | changes


def failed(*models: str) -> dict[str, Any]:
    attempts = [{"model": model, "error": "throttled"} for model in models]
    return line("b", status=503, attempts=attempts, fallbacks=len(models))


NO_ANSWER = Outcome(503, 1.0, "no_answer", None)


@pytest.mark.parametrize(
    ("outcome", "logged", "kept", "expected"),
    [
        (GOOD, line(), {"a"}, {"answered": 1, "lost_records": 0}),
        (GOOD, line(fallbacks=2), {"a"}, {"answered": 1, "answered_by_fallback": 1}),
        (GOOD, line("other"), {"a"}, {"answered": 1, "lost_records": 1}),
        (GOOD, line(), set(), {"answered": 1, "lost_records": 1}),
        (GOOD, {"event": "refused"}, {"a"}, {"lost_records": 2}),
        (NO_ANSWER, failed("one", "two"), (), {"answered": 1, "lost_records": 0}),
        # One that could have served was never asked.
        (NO_ANSWER, failed("one"), (), {"answered": 0, "lost_records": 0}),
        (Outcome(502, 1.0, "bad_gateway", None), failed("one", "two"), (), {"answered": 0}),
        (Outcome(0, 1.0, None, None), line(), {"a"}, {"answered": 0}),
        (Outcome(200, 29.5, None, "a"), line(), {"a"}, {"answered": 1, "over_deadline": 1}),
    ],
)
def test_a_request_is_answered_in_time_and_its_decision_found_again(
    outcome: Outcome, logged: Mapping[str, Any], kept: set[str], expected: dict[str, int]
) -> None:
    beside = Outcome(200, 0.5, None, "z")
    found = judge([outcome, beside], [logged, line("z")], {*kept, "z"}, samples=2)
    assert {name: found[name] for name in expected} == {
        name: count + (name == "answered") for name, count in expected.items()
    }


def test_an_answer_without_its_sample_is_told() -> None:
    found = judge([GOOD, GOOD], [line(), line()], {"a"}, samples=1)
    assert found["lost_samples"] == 1


def test_objects_that_share_a_line_are_read_apart_and_what_is_cut_is_left_out() -> None:
    texts = ['{"a": 1}{"b": {"c": 2}}', "words", '{"d": 3} x {"e": ', '{"f": 4}']
    assert list(read_lines(texts)) == [{"a": 1}, {"b": {"c": 2}}, {"d": 3}, {"f": 4}]


def test_the_dice_fall_as_often_as_they_are_said_to() -> None:
    dice = Dice(random.Random(1))
    for _ in range(20_000):
        dice()
    shares = {name: count / 20_000 for name, count in dice.met.items()}
    assert shares == pytest.approx(
        {"throttle": 0.10, "reset": 0.02, "delay": 0.01, "ok": 0.87}, abs=0.008
    )
