"""A challenger beside the champion: what is logged of it, and what it decides."""

from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from classifier.predictor import Predictor
from regroup.domain.catalog import Catalog
from regroup.domain.chat import ChatRequest, fold, said
from regroup.errors import UnprocessableError
from tests.local.fakes import FakeEncoder
from tests.local.world import REWARDS, World, ask, small_catalog, small_predictor, small_world

CHALLENGER = "c" * 64
TURNED = {"small": 0.9, "medium": 0.7, "large": 0.5}
"""What makes the challenger choose small where the champion chooses large."""
CHI_SQUARE_999 = 13.82
"""Of two degrees of freedom."""


def challenger(rewards: dict[str, float] = TURNED) -> Predictor:
    return replace(small_predictor(rewards=rewards), digest=CHALLENGER)


def decided(world: World, session_id: str) -> str:
    return world.decide(ask(preset="quality", session_id=session_id)).choice.candidate


def test_a_shadow_decides_nothing_and_is_logged() -> None:
    world = small_world()
    world.challenge(challenger(), mode="shadow", share=1.0)

    decision = world.decide(ask(preset="quality"))

    assert (decision.choice.candidate, decision.arm) == ("large", "champion")
    assert world.line["challenger_version"] == CHALLENGER
    assert world.line["probabilities"] == {
        "champion": {"small": 0.0, "medium": 0.0, "large": 1.0},
        "challenger": {"small": 1.0, "medium": 0.0, "large": 0.0},
        "behaviour": {"small": 0.0, "medium": 0.0, "large": 1.0},
    }


def test_a_canary_decides_its_share_of_conversations_and_never_changes_its_mind() -> None:
    world = small_world()
    world.challenge(challenger(), mode="canary", share=0.3)
    sessions = [f"session-{number}" for number in range(1_000)]

    first = [decided(world, session) for session in sessions]

    assert first == [decided(world, session) for session in sessions]
    # Five standard deviations of a binomial around 300.
    assert abs(first.count("small") - 300) < 73
    assert set(first) == {"small", "large"}


def test_the_deciding_version_is_the_one_that_the_line_names() -> None:
    world = small_world()
    world.challenge(challenger(), mode="canary", share=1.0)
    decision = world.decide(ask(preset="quality"))
    assert (decision.arm, decision.version) == ("challenger", CHALLENGER)
    assert (world.line["arm"], world.line["version"]) == ("challenger", CHALLENGER)


def test_a_conversation_stays_with_its_version_as_it_grows() -> None:
    world = small_world()
    world.challenge(challenger(), mode="canary", share=0.5)
    for number in range(50):
        turns = [said("user", f"Question {number}: what is a monad?")]
        arms = set()
        for _ in range(3):
            arms.add(world.decide(ask(chat=ChatRequest(tuple(turns)))).arm)
            turns += [said("assistant", "One."), said("user", "And what else is it like?")]
        assert len(arms) == 1


def test_a_challenger_that_knows_none_of_the_candidates_leaves_it_to_the_champion() -> None:
    world = small_world()
    world.challenge(challenger({"gone": 1.0}), mode="canary", share=1.0)
    decision = world.decide(ask(preset="quality"))
    assert (decision.choice.candidate, decision.arm) == ("large", "champion")
    assert world.telemetry.counts["ChallengerPassed"] == 1


def test_a_conversation_of_the_challengers_is_not_refused_for_the_champions_sake() -> None:
    everyone = small_catalog().candidates
    new = replace(everyone["small"], name="new")
    world = small_world(catalog=Catalog({**everyone, "new": new}))
    world.challenge(challenger({**TURNED, "new": 1.0}), mode="canary", share=1.0)
    decision = world.decide(ask(candidates=frozenset({"new"})))
    assert (decision.choice.candidate, decision.arm) == ("new", "challenger")
    assert decision.behaviour == {"new": 1.0}
    world.challenge(challenger({**TURNED, "new": 1.0}), mode="shadow")
    with pytest.raises(UnprocessableError, match="new: not_scored"):
        world.decide(ask(candidates=frozenset({"new"})))


def test_a_shadow_that_fails_costs_nothing_but_its_line() -> None:
    world = small_world()
    broken = challenger()
    broken.encoder = FakeEncoder(np.array([np.nan, 0], np.float32))
    world.challenge(broken, mode="shadow")
    assert world.decide(ask(preset="quality")).choice.candidate == "large"


def test_over_many_decisions_each_candidate_comes_as_often_as_was_logged() -> None:
    world = small_world(explore_share=0.3, explore_floor=0.05)
    world.challenge(challenger(), mode="canary", share=0.25)
    random = Random(7)
    decider = replace(world.service.decider, new_id=lambda: f"{random.getrandbits(128):032x}")
    rounds = 100_000
    counts: Counter[str] = Counter()
    logged: dict[str, float] = {}
    for _ in range(rounds):
        session = f"{random.getrandbits(64):x}"
        decision = decider.decide(ask(preset="quality", session_id=session), seconds=28.0)
        counts[decision.choice.candidate] += 1
        logged = dict(decision.behaviour)

    assert set(logged) == set(REWARDS)
    expected = {name: rounds * probability for name, probability in logged.items()}
    chi_square = sum((counts[n] - e) ** 2 / e for n, e in expected.items())
    assert chi_square < CHI_SQUARE_999


def test_feedback_of_a_canary_knows_its_version() -> None:
    world = small_world()
    world.challenge(challenger(), mode="canary", share=1.0)
    fold(world.service.answer(ask(preset="quality"), world.deadline()))
    (record,) = world.decisions.items.values()
    assert record.version == CHALLENGER
