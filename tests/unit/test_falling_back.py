"""Who is asked, in which order, and for how long."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.catalog import Catalog, Residency
from regroup.domain.chat import Metered, Stop, TextDelta, fold
from regroup.domain.conversation import Session, session_name
from regroup.errors import (
    DeadlineError,
    NoAnswerError,
    RegroupError,
    UpstreamDeniedError,
    UpstreamError,
    UpstreamIncapableError,
    UpstreamRejectedError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from tests.local.fakes import ANSWER, PATIENT, USAGE, Step, Wait
from tests.local.world import (
    EVERYONE_FAILS,
    QUALITY_ORDER,
    REWARDS,
    answer,
    ask,
    plan,
    small_catalog,
    small_world,
)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

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
    assert world.decide(ask(preset="quality")).mask["large"] == ("cooling_down" if rests else None)


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


def test_whoever_rests_is_asked_before_a_request_is_left_without_an_answer() -> None:
    world = small_world()
    plan(world, {"large": [UpstreamThrottledError("full")]})
    assert answer(world) == "medium"
    plan(world, {name: [UpstreamThrottledError("full")] for name in ("medium", "small")})

    assert answer(world) == "large"

    assert world.chat_model.asked[2:] == ["medium", "small", "large"]
    assert world.telemetry.lines[-1]["mask"]["large"] == "cooling_down"


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
    assert world.decide(ask()).mask["large"] is None


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


def test_a_last_candidate_that_took_all_the_time_is_a_timeout_and_no_refusal() -> None:
    world = small_world()
    world.chat_model.plan("large", [Wait(28.0), UpstreamTimeoutError("large")])
    with pytest.raises(DeadlineError):
        answer(world, candidate="large")
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

    # The third has nine hundredths of the time, and needs a second.
    assert len(allowed) >= (3 if seconds > 11.2 else 2)
    assert all(each <= 20.0 for each in allowed[:2])
    assert sum(allowed) <= seconds + 1e-6


def test_a_candidate_that_hangs_leaves_time_for_those_that_rest() -> None:
    world = small_world()
    for name in ("large", "medium"):
        world.service.decider.cooldowns.rest(name, world.clock.monotonic)
    plan(world, EVERYONE_FAILS)

    with pytest.raises(NoAnswerError):
        answer(world, seconds=28.0)

    assert world.chat_model.asked == ["small", "large", "medium"]
    allowed = [call.timeout_seconds for call in world.chat_model.calls]
    assert allowed == pytest.approx([0.7 * 28.0, 0.7 * 28.0, 28.0])


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
        # What ended too late leaves its line and nothing else.
        assert len(world.queue.messages) + world.telemetry.counts["RecordCut"] == 1
    except RegroupError:
        assert world.line["status"] in {400, 503, 504}
        assert world.queue.messages == []
    asked = world.chat_model.asked
    assert asked == QUALITY_ORDER[: len(asked)]
    assert all(0 < call.timeout_seconds <= began + seconds for call in world.chat_model.calls)
    assert world.telemetry.counts["Decisions"] == 1


@PATIENT
@given(
    plans,
    st.sampled_from(["jp", "apac", "us", "global"]),
    st.sampled_from([None, "jp", "apac"]),
    st.dictionaries(
        st.sampled_from(QUALITY_ORDER), st.sampled_from(["jp", "apac", "us", "global"]), min_size=3
    ),
    st.sampled_from([None, *QUALITY_ORDER]),
    st.booleans(),
)
def test_a_prompt_never_leaves_its_residency_whoever_fails_or_is_named(
    plans: dict[str, list[Step]],
    wanted: Residency,
    deployment: Residency | None,
    homes: dict[str, Residency],
    candidate: str | None,
    remembered: bool,
) -> None:
    everyone = small_catalog().candidates
    catalog = Catalog({n: replace(one, residency=homes[n]) for n, one in everyone.items()})
    world = small_world(catalog=catalog, residency=deployment, explore_share=0.5)
    plan(world, plans)
    request = ask(candidate=candidate, residency=wanted, session_id="s" if remembered else None)
    if remembered:
        name = session_name(request.chat, key_id="key-1", session_id="s")
        world.sessions.items[name] = Session("large", world.clock.wall)

    with suppress(RegroupError):
        fold(world.service.answer(request, world.deadline()))

    inside: dict[Residency | None, set[str]] = {
        "jp": {"jp"},
        "apac": {"jp", "apac"},
        "us": {"us"},
        "global": {"jp", "apac", "us", "global"},
        None: {"jp", "apac", "us", "global"},
    }
    assert {homes[name] for name in world.chat_model.asked} <= inside[wanted] & inside[deployment]
