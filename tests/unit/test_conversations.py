"""A conversation keeps its model unless leaving it is worth what it costs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.catalog import Capabilities, Catalog, PromptCache
from regroup.domain.chat import (
    ChatRequest,
    Image,
    Text,
    ToolResult,
    ToolUse,
    Turn,
    Usage,
    fold,
    said,
)
from regroup.domain.conversation import Session, session_name
from regroup.domain.decision import Decision
from regroup.domain.policy import Reason
from regroup.errors import UpstreamThrottledError
from tests.local.fakes import PATIENT, FakeEncoder
from tests.local.world import DAY_SECONDS, REWARDS, World, answer, ask, small_catalog, small_world

QUESTION = said("user", "What is a monad, and why would I want one?")
LOOKED = (
    Turn("assistant", (ToolUse("1", "look", "{}"),)),
    Turn("user", (ToolResult("1", (Text("found"),)),)),
)


def chat(*turns: Turn) -> ChatRequest:
    return ChatRequest((QUESTION, *turns))


def remember(world: World, model: str, *, cached_tokens: int = 0, session_id: str = "s") -> None:
    """Let `model` have answered the conversation a moment ago."""
    name = session_name(chat(), key_id="key-1", session_id=session_id)
    world.sessions.items[name] = Session(model, world.clock.wall - 10, cached_tokens)


def decide(world: World, *turns: Turn, preset: str = "quality") -> Decision:
    return world.decide(ask(chat=chat(*turns), preset=preset, session_id="s"))


def caching_world(min_margin: float = 0.0) -> World:
    """Return a router whose candidates all cache prompts, at a tenth of the price."""
    abilities = Capabilities(prompt_cache=PromptCache(min_tokens=1, ttl_seconds=300))
    catalog = {
        name: replace(
            one,
            capabilities=abilities,
            prices=replace(one.prices, cache_read=one.prices.input / 10),
            context_tokens=100_000,
        )
        for name, one in small_catalog().candidates.items()
    }
    world = small_world(catalog=Catalog(catalog))
    champion = world.service.decider.releases.live.champion
    assert champion is not None
    champion.manifest = replace(champion.manifest, min_margin=min_margin)
    return world


@pytest.mark.parametrize(
    "turns",
    [
        (said("assistant", "Shall I explain?"), said("user", "yes")),
        (said("assistant", "説明しましょうか。"), said("user", "続けて")),
        (said("assistant", "A or B?"), said("user", "B!")),
        LOOKED,
    ],
    ids=["yes", "tsuzukete", "letter", "tool result"],
)
def test_what_only_goes_on_keeps_the_model_whatever_others_promise(turns: tuple[Turn, ...]) -> None:
    world = small_world()
    remember(world, "small")

    decision = decide(world, *turns)

    assert (decision.choice.candidate, decision.choice.reason) == ("small", Reason.SESSION)
    # The question it belongs to is what was predicted for.
    assert world.encoder.texts == [QUESTION.text]


@pytest.mark.parametrize(
    "turns",
    [
        (said("assistant", "It is a monoid."), said("user", "Now prove it in Coq, please.")),
        (said("assistant", "Which?"), Turn("user", (Text("this"), Image("png", b"x")))),
    ],
    ids=["a new question", "a picture"],
)
def test_a_new_question_may_leave_the_model(turns: tuple[Turn, ...]) -> None:
    catalog = {
        name: replace(one, capabilities=Capabilities(images=True), context_tokens=100_000)
        for name, one in small_catalog().candidates.items()
    }
    world = small_world(catalog=Catalog(catalog))
    remember(world, "small")
    assert decide(world, *turns).choice.candidate == "large"


def test_without_a_memory_the_first_request_is_routed_like_any_other() -> None:
    assert decide(small_world(), said("assistant", "Hm?"), said("user", "yes")).session is None


def test_an_equal_first_message_is_a_conversation_of_its_own() -> None:
    world = small_world()
    answer(world, chat=chat(), candidate="small")
    assert world.decide(ask(chat=chat(), preset="quality")).session is None
    # Once the assistant spoke it is known by its head; across keys never.
    grown = chat(said("assistant", "Good day."), said("user", "continue"))
    assert world.decide(ask(chat=grown, preset="quality")).choice.candidate == "small"
    assert world.decide(ask(chat=grown, preset="quality", key_id="key-2")).session is None


def test_a_warm_prompt_cache_is_worth_its_price_to_the_conversation() -> None:
    long = said("user", "Now prove it in Coq, step by step. " + "x" * 40_000)
    costs, chosen = {}, {}
    for cached in (0, 9_000):
        world = caching_world()
        remember(world, "small", cached_tokens=cached)
        decision = decide(world, said("assistant", "Well."), long, preset="balanced")
        costs[cached], chosen[cached] = decision.expected_costs_usd, decision.choice
    # Warm, nine tenths of the input price of 9,000 tokens are saved; the others stay cold.
    assert costs[0]["small"] - costs[9_000]["small"] == pytest.approx(9_000 * 0.9 * 1.0 / 1e6)
    assert costs[0]["medium"] == costs[9_000]["medium"]
    staying = chosen[9_000].staying
    assert staying is not None
    assert staying.rival == "medium"
    assert staying.switch_cost_usd == pytest.approx(9_000 * 0.9 * 4.0 / 1e6)
    assert chosen[0].staying is not None
    assert chosen[0].staying.switch_cost_usd == 0.0


def test_a_prompt_cache_is_cold_after_its_time() -> None:
    world = caching_world()
    remember(world, "small", cached_tokens=9_000)
    world.clock.advance(300)
    decision = decide(world, said("assistant", "Well."), said("user", "Go on with part two."))
    assert decision.choice.staying is not None
    assert decision.choice.staying.switch_cost_usd == 0.0


@PATIENT
@given(
    st.sampled_from(["small", "medium", "large"]),
    st.integers(0, 200_000),
    st.sampled_from(["quality", "balanced", "economy"]),
    st.floats(0, 0.5),
    st.text(min_size=1, max_size=200),
)
def test_the_line_explains_every_stay_and_every_switch(
    model: str, cached: int, preset: str, margin: float, text: str
) -> None:
    world = caching_world(margin)
    remember(world, model, cached_tokens=cached)
    turns = (said("assistant", "Well."), said("user", text))

    decision = decide(world, *turns, preset=preset)

    line = world.line
    assert (line["session_model"], line["session_turns"]) == (model, 1)
    if line["switch_cost"] is None:  # it only goes on
        assert decision.choice.candidate == model
        return
    # The line is rounded; the numbers behind it decide.
    staying = decision.choice.staying
    assert staying is not None
    assert (decision.choice.candidate != model) is (staying.saving > staying.switch_cost)
    assert (line["switch_saving"], line["switch_cost"]) == (
        pytest.approx(staying.saving, abs=1e-6),
        pytest.approx(staying.switch_cost, abs=1e-6),
    )


def test_a_model_that_rests_is_left_and_whoever_answered_is_remembered() -> None:
    world = small_world()
    remember(world, "small")
    world.chat_model.plan("small", [UpstreamThrottledError("small")])
    turns = (said("assistant", "Well?"), said("user", "yes"))
    request = ask(chat=chat(*turns), preset="quality", session_id="s")

    stream = world.service.answer(request, world.deadline())
    fold(stream)

    assert stream.candidate == "large"
    (session,) = world.sessions.items.values()
    assert (session.model, session.turns, session.at) == ("large", 2, world.clock.wall)
    # The cached tokens are those that the answer's usage counted.
    assert session.cached_tokens == Usage(0, 0, 3, 4).cache_read + 4


def test_exploration_ends_where_a_conversation_has_a_model() -> None:
    world = small_world(explore_share=1.0)
    remember(world, "small")
    turns = (said("assistant", "Well?"), said("user", "Prove it in Coq."))
    decision = decide(world, *turns)
    assert decision.choice.probabilities == {"small": 0.0, "medium": 0.0, "large": 1.0}
    world.sessions.items.clear()
    assert decide(world, *turns).choice.probabilities["small"] == pytest.approx(1 / 3)


def test_a_conversation_whose_model_rests_is_not_explored_either() -> None:
    world = small_world(explore_share=1.0)
    remember(world, "large")
    world.service.decider.cooldowns.rest("large", world.clock.monotonic)
    decision = decide(world, said("assistant", "Well?"), said("user", "yes"))
    assert sorted(decision.choice.probabilities.values()) == [0.0, 1.0]


@pytest.mark.parametrize("rewards", [None, REWARDS])
def test_the_model_is_kept_also_where_nothing_can_be_predicted(
    rewards: dict[str, float] | None,
) -> None:
    broken = FakeEncoder(np.array([np.nan, 0.0], np.float32))
    world = small_world(rewards=rewards, encoder=broken)
    remember(world, "small")
    decision = decide(world, said("assistant", "Well?"), said("user", "yes"))
    assert decision.choice.candidate == "small"


def test_memory_forgets_a_conversation_when_the_table_would() -> None:
    world = small_world()
    fold(world.service.answer(ask(chat=chat(), candidate="small"), world.deadline()))
    world.sessions.fails = True
    grown = chat(said("assistant", "Good day."), said("user", "yes"))
    world.clock.advance(DAY_SECONDS)
    assert world.decide(ask(chat=grown, preset="quality")).session is None


def test_sessions_that_cannot_be_read_leave_the_last_known_ones() -> None:
    world = small_world()
    first = ask(chat=chat(), candidate="small")
    fold(world.service.answer(first, world.deadline()))
    world.sessions.fails = True

    grown = chat(said("assistant", "Good day."), said("user", "yes"))
    stream = world.service.answer(ask(chat=grown, preset="quality"), world.deadline())
    fold(stream)

    assert stream.candidate == "small"
    assert world.telemetry.counts["SessionsBypassed"] == 1
    assert world.telemetry.counts["SessionLost"] == 1


def test_the_newer_of_table_and_memory_is_believed() -> None:
    world = small_world()
    fold(world.service.answer(ask(chat=chat(), candidate="small"), world.deadline()))
    (name,) = world.sessions.items
    grown = chat(said("assistant", "Good day."), said("user", "yes"))
    for at, model in ((world.clock.wall - 1, "small"), (world.clock.wall + 1, "large")):
        world.sessions.items[name] = Session("large", at)
        assert world.decide(ask(chat=grown, preset="economy")).choice.candidate == model
