"""What is written down about a decision, and what is sampled."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.catalog import Catalog
from regroup.domain.chat import ChatRequest, Metered, Stop, TextDelta, Usage, fold, said
from regroup.domain.feedback import DecisionRecord
from regroup.errors import (
    NoAnswerError,
    UpstreamError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from tests.local.fakes import ANSWER, PATIENT, USAGE, Step, Wait
from tests.local.world import (
    DIGEST,
    EVERYONE_FAILS,
    World,
    answer,
    ask,
    plan,
    small_catalog,
    small_world,
)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

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


@pytest.mark.parametrize(
    ("act", "judgeable", "remembered"),
    [
        (read_all, 1, 1),
        # A reader may have stopped because the answer was bad.
        (close_early, 1, 0),
        (break_off, 0, 0),
        (fail_all, 0, 0),
        (stumble, 0, 0),
    ],
)
def test_what_was_answered_can_be_judged_and_only_whole_answers_go_on(
    act: Callable[[World], None], judgeable: int, remembered: int
) -> None:
    world = small_world()
    act(world)
    assert (len(world.decisions.items), len(world.sessions.items)) == (judgeable, remembered)


def test_a_decision_is_remembered_with_what_its_reward_line_needs() -> None:
    world = small_world()
    answer(world)
    assert world.decisions.items == {
        "id-0": DecisionRecord(
            decision_id="id-0",
            key_id="key-1",
            at=world.clock.wall,
            routed_model="large",
            cluster_id=0,
            version=DIGEST,
            preset="quality",
        )
    }


def test_a_decision_that_cannot_be_remembered_costs_its_feedback_and_no_answer() -> None:
    world = small_world()
    world.decisions.fails = True
    assert answer(world) == "large"
    assert world.telemetry.counts["DecisionLost"] == 1


def test_a_candidate_that_breaks_off_rests_and_is_counted() -> None:
    world = small_world()
    break_off(world)
    assert world.telemetry.counts["UpstreamUnavailable"] == 1
    assert answer(world) == "medium"
    assert world.telemetry.lines[0]["routed_model"] == "large"


def test_an_answer_that_was_out_of_time_does_not_make_its_candidate_rest() -> None:
    world = small_world()
    world.chat_model.plan("large", [*ANSWER[:1], Wait(30.0), *ANSWER[1:]])
    with pytest.raises(UpstreamTimeoutError):
        read_all(world)
    assert answer(world) == "large"


def test_after_a_fallback_that_breaks_off_the_line_names_who_spoke() -> None:
    world = small_world()
    world.chat_model.plan("large", [UpstreamThrottledError("large")])
    world.chat_model.plan("medium", [*ANSWER[:1], UpstreamUnavailableError("medium")])
    with pytest.raises(UpstreamUnavailableError):
        read_all(world)
    assert (world.line["chosen_model"], world.line["routed_model"]) == ("large", "medium")


@pytest.mark.parametrize(("late", "kept"), [(0.4, 1), (0.5, 0)])
def test_an_answer_at_the_very_end_leaves_no_time_for_what_may_be_lost(
    late: float, kept: int
) -> None:
    world = small_world(sample_rate=1.0)
    stream = world.service.answer(ask(preset="quality"), world.deadline())
    for _ in ANSWER:
        next(stream)
    world.clock.advance(28.0 + late)
    stream.close()
    assert len(world.decisions.items) == kept
    assert world.telemetry.counts["RecordCut"] == 1 - kept
    assert world.line["status"] == 499


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
    world.decide(ask(chat=chat))

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
        "tool_calls": [],
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
        world.service.recorder.sample(lambda: {"id": "x"}, f"decision-{number}")
        if len(world.queue.messages) > len(sent):
            sent.append(f"decision-{number}")
    # Five standard deviations of a binomial around 600.
    assert abs(len(sent) - 600) < 103
    # The same decision is always judged the same.
    for decision_id in sent[:20]:
        world.service.recorder.sample(lambda: {"id": "x"}, decision_id)
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
    mute = replace(world.service.recorder, queue=None)
    stream = replace(world.service, recorder=mute).answer(ask(), world.deadline())
    assert fold(stream).text == "Good day."
    assert world.telemetry.counts["SampleLost"] == 0
