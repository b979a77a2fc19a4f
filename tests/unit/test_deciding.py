"""Who is chosen, why, and what is said of it."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.decider import GUESSED_OUTPUT_TOKENS
from regroup.domain.catalog import Capabilities, Catalog
from regroup.domain.chat import ChatRequest, said
from regroup.domain.decision import CacheState
from regroup.domain.policy import Reason
from regroup.domain.prediction import Prediction
from regroup.domain.query import query_from_text
from regroup.errors import (
    NoAnswerError,
    UnprocessableError,
    UpstreamThrottledError,
)
from tests.local.fakes import FakeEncoder
from tests.local.world import (
    DIGEST,
    EVERYONE_FAILS,
    REWARDS,
    answer,
    ask,
    plan,
    small_catalog,
    small_world,
)

# Deciding


def test_deciding_explains_and_asks_nobody() -> None:
    world = small_world()

    decision = world.decide(ask(preset="quality"))

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
    decision = world.decide(ask(preset=preset))
    assert decision.choice.candidate == chosen
    assert decision.preset == (preset or "balanced")


@pytest.mark.parametrize(
    ("preset", "weight", "chosen"),
    [("quality", 10_000.0, "small"), ("economy", 0.0, "large"), ("economy", 300.0, "medium")],
)
def test_a_cost_weight_in_the_request_wins_over_the_preset(
    preset: str, weight: float, chosen: str
) -> None:
    decision = small_world().decide(ask(preset=preset, cost_weight=weight))
    assert decision.choice.candidate == chosen


def test_scores_show_what_the_choice_was_made_by() -> None:
    world = small_world()
    decision = world.decide(ask(preset="economy", cost_weight=300.0))
    scores = {n: REWARDS[n] - 300.0 * cost for n, cost in decision.expected_costs_usd.items()}
    assert decision.choice.scores == pytest.approx(scores)
    assert decision.choice.candidate == max(scores, key=scores.__getitem__)
    assert (world.line["preset"], world.line["cost_weight"]) == ("custom", 300.0)
    # Nothing was weighed where nothing is known.
    blind = small_world(rewards=None).decide(ask())
    assert (blind.choice.cost_weight, blind.choice.scores) == (None, {})


def test_a_named_candidate_is_not_routed_and_is_the_only_one_tried() -> None:
    world = small_world()
    world.chat_model.plan("small", [UpstreamThrottledError("small")])

    with pytest.raises(NoAnswerError):
        answer(world, candidate="small")

    assert world.chat_model.asked == ["small"]
    assert (world.line["reason"], world.line["cache"]) == ("named", "unused")
    assert world.line["probabilities"] == {
        "champion": {"small": 1.0},
        "behaviour": {"small": 1.0},
    }
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
        "large: context_window, new: not_scored). "
        "What would help: leave out the system messages; shorten the messages."
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


class BrokenEncoder:
    """An encoder that fails as onnxruntime does, by an error of its own."""

    def encode(self, text: str) -> NDArray[np.float32]:
        raise RuntimeError(text)


def test_an_encoder_that_fails_leaves_it_to_the_default() -> None:
    world = small_world()
    champion = world.service.decider.releases.live.champion
    assert champion is not None
    champion.encoder = BrokenEncoder()
    assert answer(world) == "medium"
    assert world.telemetry.counts["PredictionFailed"] == 1


def test_a_prediction_that_is_no_number_leaves_it_to_the_default_and_stays_json() -> None:
    world = small_world()
    key = query_from_text("hello").digest(DIGEST)
    world.cache.items[key] = Prediction(
        0, float("inf"), {**REWARDS, "large": float("nan")}, dict.fromkeys(REWARDS, float("nan"))
    )

    assert answer(world) == "medium"

    assert world.line["reason"] == "not_finite"
    assert (world.line["distance"], world.line["predicted_rewards"]["large"]) == (None, None)


# Exploring


@pytest.mark.parametrize(("explore", "explored"), [(True, True), (False, False)])
def test_exploration_is_off_where_the_request_says_so(explore: bool, explored: bool) -> None:
    world = small_world(explore_share=1.0)
    reasons = set()
    for _ in range(30):
        decision = world.decide(ask(preset="quality", explore=explore))
        assert decision.explore_allowed is explore
        even = dict.fromkeys(REWARDS, pytest.approx(1 / 3))
        assert decision.choice.probabilities == (
            even if explore else {"small": 0.0, "medium": 0.0, "large": 1.0}
        )
        reasons.add(decision.choice.reason)
    assert (Reason.EXPLORED in reasons) is explored


def test_without_an_artifact_nothing_is_explored() -> None:
    world = small_world(rewards=None, explore_share=1.0)
    assert {world.decide(ask()).choice.candidate for _ in range(30)} == {"medium"}
