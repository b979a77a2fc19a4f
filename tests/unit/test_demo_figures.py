"""The demo's table: each line is what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.demo import broken_promises
from tests.local.demo_figures import Answers, table_lines
from training.frontier import at_cost

ANSWERS = Answers(
    candidates=("cheap", "dear"),
    rewards=np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]),
    costs_usd=np.array([[1.0, 9.0]] * 4),
    router_rewards=np.array([1.0, 1.0, 0.0, 0.0]),
    router_costs_usd=np.array([1.0, 9.0, 1.0, 9.0]),
)

models = st.lists(
    st.tuples(st.floats(0, 10), st.floats(0, 1)), min_size=1, max_size=5, unique_by=lambda m: m[0]
)


def test_every_line_of_the_table_is_what_its_name_says() -> None:
    lines = {line.name: line for line in table_lines(ANSWERS, best_single="dear", cheapest="cheap")}
    figures = {name: (line.reward, line.cost_usd) for name, line in lines.items()}
    assert figures == {
        "REGROUP": (0.5, 20.0),
        "always best single (dear)": (0.5, 36.0),
        "always cheapest (cheap)": (0.5, 4.0),
        "query-blind mix at the same cost": (0.5, 20.0),
        "random": (0.5, 20.0),
        # Right wherever any candidate is, by the cheapest that is right.
        "oracle": (0.75, 12.0),
    }


def test_a_part_of_the_prompts_has_its_own_table() -> None:
    part = ANSWERS.take(np.array([False, True, False, False]))
    assert table_lines(part, best_single="dear", cheapest="cheap")[0].reward == 1.0


@pytest.mark.parametrize(
    ("budget", "reward"),
    [(1.0, 0.2), (5.5, 0.5), (10.0, 0.8), (99.0, 0.8), (0.5, 0.2)],
)
def test_a_blind_mix_lies_on_the_line_between_two_models(budget: float, reward: float) -> None:
    # The third model lies below that line, so no mix uses it.
    costs, rewards = np.array([1.0, 10.0, 5.0]), np.array([0.2, 0.8, 0.3])
    assert at_cost(costs, rewards, budget) == pytest.approx(reward)


@given(models, st.floats(0, 12), st.floats(0, 12))
def test_a_blind_mix_never_falls_with_the_budget_and_never_beats_the_best_model(
    pairs: list[tuple[float, float]], one: float, other: float
) -> None:
    costs, rewards = (np.array(column) for column in zip(*pairs, strict=True))
    low, high = sorted((one, other))
    less = at_cost(costs, rewards, low)
    more = at_cost(costs, rewards, high)
    assert less <= more + 1e-9 or low < costs.min()
    assert rewards.min() - 1e-9 <= less <= rewards.max() + 1e-9


REPORT: dict[str, object] = {
    "router_reward": 0.8,
    "random_reward": 0.6,
    "mix_reward": 0.7,
    "best_single_reward": 0.75,
    "oracle_reward": 0.9,
    "cache_hits": 60,
    "one_best_verdict": "do not route: use haiku",
}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        (
            {"router_reward": 0.65},
            ["better than the blind mix", "no worse than the best single model"],
        ),
        ({"cache_hits": 59}, ["repeated prompts come from the cache"]),
        ({"one_best_verdict": "route (gain 1.0 points)"}, ["one best model is not routed"]),
        ({"oracle_reward": 0.79}, ["no better than the oracle"]),
    ],
)
def test_a_demo_that_does_not_hold_says_which_promise_broke(
    change: dict[str, object], broken: list[str]
) -> None:
    assert broken_promises(REPORT | change) == broken
