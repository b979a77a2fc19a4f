"""Who is asked, in which order, for how long, and what is written down about it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.service import GUESSED_OUTPUT_TOKENS
from regroup.domain.catalog import Capabilities, Catalog
from regroup.domain.chat import ChatRequest, Metered, Stop, TextDelta, Usage, fold, said
from regroup.domain.decision import CacheState
from regroup.domain.policy import Reason
from regroup.domain.prediction import Prediction
from regroup.domain.query import query_from_text
from regroup.errors import (
    DeadlineError,
    NoAnswerError,
    RegroupError,
    UnprocessableError,
    UpstreamDeniedError,
    UpstreamError,
    UpstreamIncapableError,
    UpstreamRejectedError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from tests.local.fakes import (
    ANSWER,
    DIGEST,
    PATIENT,
    REWARDS,
    USAGE,
    FakeEncoder,
    Step,
    Wait,
    World,
    ask,
    small_catalog,
    small_world,
)

QUALITY_ORDER = ["large", "medium", "small"]
"""The ranking of the preset quality, by predicted reward alone."""
EVERYONE_FAILS: dict[str, list[Step]] = {
    name: [UpstreamUnavailableError("down")] for name in REWARDS
}

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def answer(world: World, *, seconds: float = 28.0, **changes: Any) -> str:  # noqa: ANN401
    """Ask with the preset quality unless told otherwise, read the whole answer, name its author."""
    request = ask(**{"preset": "quality", **changes})
    stream = world.service.answer(request, world.deadline(seconds))
    assert fold(stream).text == "Good day."
    return stream.candidate


def plan(world: World, plans: dict[str, list[Step]]) -> None:
    for name, steps in plans.items():
        world.chat_model.plan(name, steps)


# Deciding


def test_deciding_explains_and_asks_nobody() -> None:
    world = small_world()

    decision = world.service.decide(ask(preset="quality"))

    assert world.chat_model.calls == []
    assert decision.choice.candidate == "large"
    assert decision.choice.ranking == ("large", "medium", "small")
    assert decision.choice.reason is Reason.LEARNED
    assert (decision.version, decision.cache) == (DIGEST, CacheState.MISS)
    assert decision.mask == dict.fromkeys(REWARDS)
    assert decision.prediction is not None
    assert decision.prediction.rewards == pytest.approx(REWARDS)
    # 5 latin characters are 1 token in, 100 tokens are predicted out; prices are per million.
    assert decision.expected_costs_usd == pytest.approx(
        {"small": 101e-6, "medium": 404e-6, "large": 2_020e-6}
    )
    assert (world.line["event"], world.line["dry_run"]) == ("decision", True)
    assert "status" not in world.line


@pytest.mark.parametrize(
    ("preset", "chosen"),
    [("quality", "large"), ("balanced", "medium"), ("economy", "small"), (None, "medium")],
)
def test_each_preset_chooses_by_its_cost_weight(preset: str | None, chosen: str) -> None:
    world = small_world()
    decision = world.service.decide(ask(preset=preset))
    assert decision.choice.candidate == chosen
    assert decision.preset == (preset or "balanced")


@pytest.mark.parametrize(
    ("preset", "weight", "chosen"),
    [("quality", 10_000.0, "small"), ("economy", 0.0, "large"), ("economy", 300.0, "medium")],
)
def test_a_cost_weight_in_the_request_wins_over_the_preset(
    preset: str, weight: float, chosen: str
) -> None:
    decision = small_world().service.decide(ask(preset=preset, cost_weight=weight))
    assert decision.choice.candidate == chosen


def test_a_named_candidate_is_not_routed_and_is_the_only_one_tried() -> None:
    world = small_world()
    world.chat_model.plan("small", [UpstreamThrottledError("small")])

    with pytest.raises(NoAnswerError):
        answer(world, candidate="small")

    assert world.chat_model.asked == ["small"]
    assert (world.line["reason"], world.line["cache"]) == ("named", "unused")
    assert world.line["probabilities"] == {"champion": {"small": 1.0}}
    assert (world.cache.reads, world.encoder.texts) == ([], [])
    # Even while it rests it can be named.
    assert answer(world, candidate="small") == "small"


def test_a_request_that_nobody_can_serve_names_each_candidate_and_why() -> None:
    catalog = small_catalog()
    no_system = replace(catalog.candidates["small"], capabilities=Capabilities(system=False))
    ended = replace(catalog.candidates["medium"], end_of_life=date(2026, 1, 1))
    others = {"small": no_system, "medium": ended, "large": catalog.candidates["large"]}
    world = small_world(catalog=Catalog(others | {"new": replace(no_system, name="new")}))
    chat = ChatRequest((said("user", "日" * 100_000),), system=("be brief",))

    with pytest.raises(UnprocessableError) as caught:
        world.service.answer(ask(chat=chat), world.deadline())

    assert str(caught.value) == (
        "No candidate can serve this request (small: system_messages, medium: end_of_life, "
        "large: context_window, new: not_scored)."
    )
    assert (caught.value.status, caught.value.code) == (422, "no_candidate")
    assert world.chat_model.calls == []


@pytest.mark.parametrize(
    ("chat", "hurdle"),
    [
        (ChatRequest((said("user", "x" * 5_000),)), "context_window"),
        (ChatRequest((said("user", "hi"),), system=("be brief",)), "system_messages"),
    ],
)
def test_a_named_candidate_that_cannot_serve_says_why(chat: ChatRequest, hurdle: str) -> None:
    small = replace(small_catalog().candidates["small"], capabilities=Capabilities(system=False))
    world = small_world(catalog=Catalog({**small_catalog().candidates, "small": small}))

    with pytest.raises(UnprocessableError, match=rf"small cannot .*\({hurdle}\)") as caught:
        world.service.answer(ask(chat=chat, candidate="small"), world.deadline())

    assert caught.value.param == "model"
    assert world.chat_model.calls == []


def test_a_prompt_too_long_for_some_goes_to_one_that_holds_it() -> None:
    world = small_world()
    assert answer(world, chat=ChatRequest((said("user", "x" * 5_000),)), preset="economy") == (
        "medium"
    )
    assert world.line["mask"] == {"small": "context_window", "medium": None, "large": None}


# No router, or a broken one


def test_without_an_artifact_the_default_answers_and_others_follow_by_price() -> None:
    world = small_world(rewards=None)
    plan(world, EVERYONE_FAILS)

    with pytest.raises(NoAnswerError):
        answer(world)

    assert world.chat_model.asked == ["medium", "small", "large"]
    assert (world.line["reason"], world.line["version"]) == ("no_artifact", None)
    assert (world.line["cache"], world.line["predicted_rewards"]) == ("unused", {})
    guessed = 4.0 * (1 + GUESSED_OUTPUT_TOKENS) / 1e6
    assert world.line["predicted_costs_usd"]["medium"] == pytest.approx(guessed)


def test_without_an_artifact_a_default_that_cannot_serve_leaves_it_to_the_cheapest() -> None:
    world = small_world(rewards=None, default_candidate="small")
    assert answer(world, chat=ChatRequest((said("user", "x" * 5_000),))) == "medium"


@pytest.mark.parametrize("embedding", [[np.nan, 0.0], [np.inf, 0.0], [1.0, 0.0, 0.0], []])
def test_an_embedding_that_cannot_be_used_leaves_it_to_the_default_and_is_counted(
    embedding: list[float],
) -> None:
    world = small_world(encoder=FakeEncoder(np.array(embedding, np.float32)))

    assert answer(world) == "medium"

    assert world.line["reason"] == "not_finite"
    assert world.telemetry.counts["PredictionFailed"] == 1
    assert world.cache.writes == []


def test_a_prediction_that_is_no_number_leaves_it_to_the_default_and_stays_json() -> None:
    world = small_world()
    key = query_from_text("hello").digest(DIGEST)
    world.cache.items[key] = Prediction(
        0, float("inf"), {**REWARDS, "large": float("nan")}, dict.fromkeys(REWARDS, float("nan"))
    )

    assert answer(world) == "medium"

    assert world.line["reason"] == "not_finite"
    assert (world.line["distance"], world.line["predicted_rewards"]["large"]) == (None, None)


# Falling back


@pytest.mark.parametrize(
    ("failure", "rests"),
    [
        (UpstreamThrottledError("x"), True),
        (UpstreamTimeoutError("x"), True),
        (UpstreamUnavailableError("x"), True),
        (UpstreamDeniedError("x"), False),
        (UpstreamIncapableError("x"), False),
    ],
    ids=lambda value: getattr(value, "cause", None),
)
def test_a_failed_first_candidate_is_answered_by_the_second_and_rests_if_more_asking_is_no_use(
    failure: UpstreamError, rests: bool
) -> None:
    world = small_world()
    world.chat_model.plan("large", [failure])

    assert answer(world) == "medium"

    assert world.chat_model.asked == ["large", "medium"]
    assert (world.line["chosen_model"], world.line["routed_model"]) == ("large", "medium")
    assert world.line["attempts"] == [
        {"model": "large", "error": failure.cause},
        {"model": "medium", "error": None},
    ]
    assert (world.line["fallbacks"], world.telemetry.counts["Fallbacks"]) == (1, 1)
    assert world.telemetry.counts[f"Upstream{failure.cause.capitalize()}"] == 1
    assert world.service.decide(ask(preset="quality")).mask["large"] == (
        "cooling_down" if rests else None
    )


def test_the_next_in_line_is_the_next_in_this_decisions_own_ranking() -> None:
    orders = {}
    for preset in ("quality", "balanced", "economy"):
        world = small_world()
        plan(world, EVERYONE_FAILS)
        with pytest.raises(NoAnswerError):
            answer(world, preset=preset)
        orders[preset] = world.chat_model.asked
    assert orders == {
        "quality": ["large", "medium", "small"],
        "balanced": ["medium", "small", "large"],
        "economy": ["small", "medium", "large"],
    }


def test_a_rested_candidate_is_asked_again_after_its_rest() -> None:
    world = small_world()
    world.chat_model.plan("large", [UpstreamThrottledError("large")])
    assert [answer(world), answer(world)] == ["medium", "medium"]
    assert world.chat_model.asked == ["large", "medium", "medium"]

    world.clock.advance(30.0)

    assert answer(world) == "large"


def test_an_answer_ends_a_rest() -> None:
    world = small_world()
    world.chat_model.plan("large", [UpstreamThrottledError("large")])
    assert [answer(world), answer(world, candidate="large"), answer(world)] == [
        "medium",
        "large",
        "large",
    ]


def test_when_all_rest_all_are_tried_again() -> None:
    world = small_world()
    plan(world, {name: [UpstreamThrottledError("full")] for name in REWARDS})
    with pytest.raises(NoAnswerError):
        answer(world)

    assert answer(world) == "large"


def test_the_last_one_standing_is_tried_although_it_rests() -> None:
    world = small_world(catalog=Catalog({"small": small_catalog().candidates["small"]}))
    world.chat_model.plan("small", *[[UpstreamThrottledError("small")]] * 3)
    for _ in range(3):
        with pytest.raises(NoAnswerError):
            answer(world)
    assert answer(world) == "small"


def test_a_malformed_request_stops_at_once() -> None:
    world = small_world()
    world.chat_model.plan("large", [UpstreamRejectedError("bad")])

    with pytest.raises(UpstreamRejectedError):
        answer(world)

    assert world.chat_model.asked == ["large"]
    assert world.line["status"] == 400
    assert world.service.decide(ask()).mask["large"] is None


def test_when_all_fail_each_was_tried_once_and_a_later_try_is_advised() -> None:
    world = small_world()
    plan(world, EVERYONE_FAILS)

    with pytest.raises(NoAnswerError) as caught:
        answer(world)

    assert caught.value.retry_after_seconds == 30
    assert world.chat_model.asked == QUALITY_ORDER
    assert (world.line["status"], world.line["fallbacks"]) == (503, 3)
    assert [a["error"] for a in world.line["attempts"]] == ["unavailable"] * 3


def test_an_empty_stream_is_a_failure() -> None:
    world = small_world()
    world.chat_model.plan("large", [])
    assert answer(world) == "medium"
    assert world.line["attempts"][0] == {"model": "large", "error": "unavailable"}


# Time


@pytest.mark.parametrize(("seconds", "asked"), [(1.0, 1), (0.999, 0), (0.0, 0), (-5.0, 0)])
def test_no_attempt_begins_with_less_than_a_second_left(seconds: float, asked: int) -> None:
    world = small_world()
    if asked:
        assert answer(world, seconds=seconds) == "large"
    else:
        with pytest.raises(DeadlineError):
            answer(world, seconds=seconds)
        assert world.line["status"] == 504
    assert len(world.chat_model.calls) == asked


def test_a_second_attempt_is_not_begun_once_the_time_is_up() -> None:
    world = small_world()
    world.chat_model.plan("large", [Wait(27.5), UpstreamTimeoutError("large")])

    with pytest.raises(DeadlineError):
        answer(world)

    assert world.chat_model.asked == ["large"]
    assert (world.line["status"], world.line["fallbacks"]) == (504, 1)


@PATIENT
@given(st.floats(min_value=4.0, max_value=900.0))
def test_candidates_that_hang_leave_time_for_those_after_them(seconds: float) -> None:
    allowed: list[float] = []
    for name in QUALITY_ORDER:
        world = small_world()
        for hung, waited in zip(QUALITY_ORDER, allowed, strict=False):
            world.chat_model.plan(hung, [Wait(waited), UpstreamTimeoutError(hung)])
        if seconds - sum(allowed) < 1.0:
            break
        assert answer(world, seconds=seconds) == name
        allowed.append(world.chat_model.calls[-1].timeout_seconds)

    assert len(allowed) == (3 if seconds > 11.2 else 2)
    assert all(each <= 20.0 for each in allowed[:2])
    assert sum(allowed) <= seconds + 1e-6


def test_the_only_candidate_may_take_all_the_time() -> None:
    world = small_world()
    answer(world, candidate="large", seconds=100.0)
    assert world.chat_model.calls[0].timeout_seconds == 100.0


def test_a_stream_that_runs_past_the_deadline_breaks_off() -> None:
    world = small_world()
    world.chat_model.plan("large", [TextDelta("one"), Wait(29.0), TextDelta("two"), *ANSWER])
    stream = world.service.answer(ask(preset="quality"), world.deadline())

    assert next(stream) == TextDelta("one")
    next(stream)
    with pytest.raises(UpstreamTimeoutError):
        next(stream)

    assert (world.line["status"], world.line["latency_ms"]) == (504, 29_000.0)
    assert world.line["attempts"] == [{"model": "large", "error": "timeout"}]


# What is written down


def read_all(world: World) -> None:
    fold(world.service.answer(ask(preset="quality"), world.deadline()))


def break_off(world: World) -> None:
    world.chat_model.plan("large", [*ANSWER[:1], UpstreamUnavailableError("large")])
    stream = world.service.answer(ask(preset="quality"), world.deadline())
    with pytest.raises(UpstreamUnavailableError):
        fold(stream)
    assert list(stream) == []
    stream.close()


def stumble(world: World) -> None:
    world.chat_model.plan("large", [*ANSWER[:1], ZeroDivisionError()])
    with pytest.raises(ZeroDivisionError):
        read_all(world)


def stumble_at_once(world: World) -> None:
    world.chat_model.plan("large", [ZeroDivisionError()])
    with pytest.raises(ZeroDivisionError):
        read_all(world)


def close_early(world: World) -> None:
    stream = world.service.answer(ask(preset="quality"), world.deadline())
    next(stream)
    stream.close()
    stream.close()


def close_unread(world: World) -> None:
    world.service.answer(ask(preset="quality"), world.deadline()).close()


def close_after_the_end(world: World) -> None:
    stream = world.service.answer(ask(preset="quality"), world.deadline())
    fold(stream)
    stream.close()
    assert list(stream) == []


def fail_all(world: World) -> None:
    plan(world, EVERYONE_FAILS)
    with pytest.raises(NoAnswerError):
        world.service.answer(ask(preset="quality"), world.deadline())


@pytest.mark.parametrize(
    ("act", "status", "errors"),
    [
        (read_all, 200, [None]),
        (close_after_the_end, 200, [None]),
        (break_off, 503, ["unavailable"]),
        (close_early, 499, [None]),
        (close_unread, 499, [None]),
        (fail_all, 503, ["unavailable"] * 3),
        # Mistakes in our own code.
        (stumble, 500, ["broken"]),
        (stumble_at_once, 500, []),
    ],
)
def test_every_decision_is_written_exactly_once(
    act: Callable[[World], None], status: int, errors: list[str | None]
) -> None:
    world = small_world()

    act(world)

    assert (world.line["event"], world.line["status"]) == ("decision", status)
    assert [attempt["error"] for attempt in world.line["attempts"]] == errors
    assert world.telemetry.counts["Decisions"] == 1


def test_the_line_tells_who_asked_when_and_how_long_it_took() -> None:
    world = small_world()
    started = world.clock.wall
    world.chat_model.plan("large", [Wait(0.25), TextDelta("Good day."), Wait(1.0), *ANSWER[2:]])

    answer(world)

    assert world.line["key_id"] == "key-1"
    assert world.line["at"] == pytest.approx(started + 1.25)
    assert (world.line["first_byte_ms"], world.line["latency_ms"]) == (250.0, 1_250.0)
    assert (world.line["schema"], world.line["decision_id"]) == (1, "id-0")


def test_cost_follows_from_usage_and_catalog() -> None:
    prices = replace(small_catalog().candidates["large"].prices, cache_read=2.0, cache_write=25.0)
    large = replace(small_catalog().candidates["large"], prices=prices)
    world = small_world(catalog=Catalog({**small_catalog().candidates, "large": large}))

    answer(world)

    expected = (10 * 20 + 20 * 20 + 3 * 2 + 4 * 25) / 1e6
    assert world.line["cost_usd"] == pytest.approx(expected)
    assert [
        world.line[name]
        for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    ] == [USAGE.input, USAGE.output, USAGE.cache_read, USAGE.cache_write]


def test_the_cost_is_that_of_who_answered() -> None:
    world = small_world()
    world.chat_model.plan("large", [UpstreamThrottledError("large")])
    answer(world)
    assert world.line["cost_usd"] == pytest.approx((10 + 20 + 3 + 4) * 4.0 / 1e6)


def test_without_usage_the_cost_is_unknown_and_not_zero() -> None:
    world = small_world()
    break_off(world)
    assert world.line["cost_usd"] is None


@PATIENT
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), words)
def test_no_line_holds_the_prompt_the_system_message_or_the_answer(text: str, reply: str) -> None:
    canary = f"canary-7f3a{text}"
    turns = (said("user", canary), said("assistant", canary), said("user", canary))
    chat = ChatRequest(turns, system=(canary,))
    world = small_world(sample_rate=1.0)
    steps: list[Step] = [TextDelta(f"{canary}{reply}"), Stop("stop"), Metered(Usage(1, 1))]
    world.chat_model.plan("large", [UpstreamThrottledError(canary)], [], steps)
    world.chat_model.plan("medium", steps, [TextDelta(canary), UpstreamUnavailableError(canary)])

    for _ in range(2):
        stream = world.service.answer(ask(chat=chat, preset="quality"), world.deadline())
        try:
            fold(stream)
        except UpstreamError:
            assert stream.candidate == "medium"
        world.clock.advance(60.0)
    world.service.decide(ask(chat=chat))

    assert len(world.telemetry.lines) == 3
    assert "canary" not in repr(world.telemetry.lines)
    assert "canary" not in repr(world.telemetry.counts)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["half \ud83d"], "half \ufffd"),
        (["\ude00", "x"], "\ufffdx"),
        (["\ud83d\ude00"], "\U0001f600"),
        (["日本語 \U0001f600"], "日本語 \U0001f600"),
    ],
)
def test_an_answer_with_half_a_surrogate_pair_is_mended_and_still_sampled(
    pieces: list[str], text: str
) -> None:
    world = small_world(sample_rate=1.0)
    world.chat_model.plan("large", [*map(TextDelta, pieces), *ANSWER[2:]])

    whole = fold(world.service.answer(ask(preset="quality"), world.deadline()))

    assert whole.text == text
    assert world.queue.messages[0]["answer"] == text


# Sampling


def test_a_sample_holds_texts_decision_and_the_chance_it_had() -> None:
    world = small_world(sample_rate=1.0)

    answer(world, chat=ChatRequest((said("user", "こんにちは"),)))

    (message,) = world.queue.messages
    assert message == {
        "event": "interaction",
        "schema": 1,
        "id": "id-0",
        "text": "こんにちは",
        "answer": "Good day.",
        "inclusion_probability": 1.0,
        "decision": world.line,
    }


@pytest.mark.parametrize("act", [break_off, close_early, close_unread, fail_all, stumble])
def test_what_was_not_answered_is_not_sampled(act: Callable[[World], None]) -> None:
    world = small_world(sample_rate=1.0)
    act(world)
    assert world.queue.messages == []


def test_at_rate_zero_nothing_is_sampled_and_at_one_everything() -> None:
    for rate, number in ((0.0, 0), (1.0, 50)):
        world = small_world(sample_rate=rate)
        for _ in range(50):
            answer(world)
        assert len(world.queue.messages) == number


def test_at_a_rate_between_that_share_of_decisions_is_sampled() -> None:
    world = small_world(sample_rate=0.3)
    sent: list[str] = []
    for number in range(2_000):
        world.service.recorder().sample(lambda: {"id": "x"}, f"decision-{number}")
        if len(world.queue.messages) > len(sent):
            sent.append(f"decision-{number}")
    # Five standard deviations of a binomial around 600.
    assert abs(len(sent) - 600) < 103
    # The same decision is always judged the same.
    for decision_id in sent[:20]:
        world.service.recorder().sample(lambda: {"id": "x"}, decision_id)
    assert len(world.queue.messages) == len(sent) + 20


def test_who_is_sampled_does_not_follow_from_who_explores() -> None:
    world = small_world(sample_rate=0.5, explore_share=1.0)
    chosen = {"sampled": 0, "all": 0}
    for _ in range(1_000):
        stream = world.service.answer(ask(), world.deadline())
        fold(stream)
        first = stream.candidate == "small"
        chosen["all"] += first
        chosen["sampled"] += (
            first
            and world.queue.messages[-1:] != []
            and (world.queue.messages[-1]["id"] == stream.decision.decision_id)
        )
    share = chosen["sampled"] / chosen["all"]
    assert 0.35 < share < 0.65


def test_a_queue_that_fails_costs_the_sample_and_not_the_answer() -> None:
    world = small_world(sample_rate=1.0)
    world.queue.fails = True
    assert answer(world) == "large"
    assert world.telemetry.counts["SampleLost"] == 1
    assert world.line["status"] == 200


def test_without_a_queue_nothing_is_sampled() -> None:
    world = small_world(sample_rate=1.0)
    world.service.queue = None
    assert answer(world) == "large"


# Exploring


@pytest.mark.parametrize(("explore", "explored"), [(True, True), (False, False)])
def test_exploration_is_off_where_the_request_says_so(explore: bool, explored: bool) -> None:
    world = small_world(explore_share=1.0)
    reasons = set()
    for _ in range(30):
        decision = world.service.decide(ask(preset="quality", explore=explore))
        assert decision.explore_allowed is explore
        even = dict.fromkeys(REWARDS, pytest.approx(1 / 3))
        assert decision.choice.probabilities == (
            even if explore else {"small": 0.0, "medium": 0.0, "large": 1.0}
        )
        reasons.add(decision.choice.reason)
    assert (Reason.EXPLORED in reasons) is explored


def test_without_an_artifact_nothing_is_explored() -> None:
    world = small_world(rewards=None, explore_share=1.0)
    assert {world.service.decide(ask()).choice.candidate for _ in range(30)} == {"medium"}


# Any course of events

failures = st.sampled_from(
    [
        UpstreamThrottledError,
        UpstreamTimeoutError,
        UpstreamUnavailableError,
        UpstreamDeniedError,
        UpstreamIncapableError,
        UpstreamRejectedError,
    ]
)
steps = st.one_of(
    st.builds(TextDelta, words),
    st.builds(Wait, st.floats(0, 40)),
    st.just(Stop("stop")),
    st.just(Metered(USAGE)),
    failures.map(lambda kind: kind("planned")),
)
plans = st.dictionaries(st.sampled_from(QUALITY_ORDER), st.lists(steps, max_size=4))


@PATIENT
@given(plans, st.floats(-1, 60))
def test_whatever_happens_there_is_one_line_an_answer_or_a_typed_error(
    plans: dict[str, list[Step]], seconds: float
) -> None:
    world = small_world(sample_rate=1.0)
    plan(world, plans)
    began = world.clock.monotonic
    try:
        fold(world.service.answer(ask(preset="quality"), world.deadline(seconds)))
        assert world.line["status"] == 200
        assert len(world.queue.messages) == 1
    except RegroupError:
        assert world.line["status"] in {400, 503, 504}
        assert world.queue.messages == []
    asked = world.chat_model.asked
    assert asked == QUALITY_ORDER[: len(asked)]
    assert all(0 < call.timeout_seconds <= began + seconds for call in world.chat_model.calls)
    assert world.telemetry.counts["Decisions"] == 1
