"""The gate: it lets through what pays, and nothing that may be noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.dataset import Matrix
from training.gate import (
    FEW,
    FEWEST_TO_LEARN,
    MARGINS,
    HeldOut,
    Judged,
    Plan,
    choose_plan,
    describe,
    judge_gain,
    least_error,
    nested_choices,
    routed_gains,
)
from training.intervals import Interval


def judged(rewards: Matrix, folds: int = 5) -> Judged:
    rows = len(rewards)
    return Judged(rewards, np.array(["all"] * rows), np.arange(rows) % folds, "rows")


def coins(rows: int, *means: float, seed: int = 0) -> Matrix:
    return (np.random.default_rng(seed).uniform(size=(rows, len(means))) < means).astype(float)


def oracle(rewards: Matrix, share: float, seed: int = 0) -> Matrix:
    """Predict the truth for some queries, and for the others that the last candidate is best."""
    known = np.random.default_rng(seed).uniform(size=len(rewards)) < share
    blind = np.zeros_like(rewards)
    blind[:, -1] = 0.5
    return np.where(known[:, None], rewards, blind)


def test_a_margin_keeps_queries_with_a_small_lead_at_the_default() -> None:
    predicted = np.array([[0.5, 0.6], [0.5, 0.52]])
    rewards = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert routed_gains(predicted, rewards, 0, 0.0).tolist() == [1.0, 1.0]
    assert routed_gains(predicted, rewards, 0, 0.05).tolist() == [1.0, 0.0]


def test_no_plan_where_nothing_gains() -> None:
    rewards = coins(400, 0.4, 0.8)
    wrong = {"cluster-mean": [1.0 - rewards]}
    assert choose_plan(wrong, judged(rewards), {"cluster-mean": MARGINS}) is None


def test_of_routers_within_a_standard_error_the_simplest_is_taken() -> None:
    rewards = coins(600, 0.5, 0.55)
    nearly = {"simple": [oracle(rewards, 0.30)], "rich": [oracle(rewards, 0.305)]}
    margins = dict.fromkeys(nearly, (0.0,))
    assert choose_plan(nearly, judged(rewards), margins) == Plan("simple", 0.0)
    clearly = {"simple": [oracle(rewards, 0.1)], "rich": [oracle(rewards, 0.9)]}
    assert choose_plan(clearly, judged(rewards), margins) == Plan("rich", 0.0)


def test_of_margins_that_gain_the_same_the_largest_is_taken() -> None:
    rewards = coins(400, 0.5, 0.55)
    sure = {"one": [rewards]}  # every lead is 0 or 1
    plan = choose_plan(sure, judged(rewards), {"one": MARGINS})
    assert plan == Plan("one", max(MARGINS))


def test_gains_of_several_divisions_into_folds_are_averaged() -> None:
    rewards = coins(400, 0.5, 0.55)
    good, bad = oracle(rewards, 0.4), 1.0 - rewards
    margins = {"one": (0.0,)}
    assert choose_plan({"one": [good, good]}, judged(rewards), margins) is not None
    assert choose_plan({"one": [good, bad]}, judged(rewards), margins) is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_a_folds_choices_do_not_depend_on_its_own_rewards(fold: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rewards = coins(200, 0.5, 0.5, 0.55, seed=seed)
    outer = rng.uniform(size=rewards.shape)
    inner = [rng.uniform(size=rewards.shape) for _ in range(5)]
    rows = judged(rewards)
    changed = rewards.copy()
    own = rows.fold_of == fold
    changed[own] = 1.0 - changed[own]
    margins = {"one": MARGINS}
    before, default = nested_choices({"one": HeldOut(outer, inner)}, rows, margins)
    after, other = nested_choices({"one": HeldOut(outer, inner)}, judged(changed), margins)
    assert (before[own] == after[own]).all()
    assert (default[own] == other[own]).all()


def test_a_folds_plan_is_chosen_by_predictions_made_without_that_fold() -> None:
    rewards = coins(500, 0.5, 0.55)
    rows = judged(rewards)
    # Without a fold the router is useless, so no fold may be routed, however good `outer` is.
    useless = HeldOut(rewards, [1.0 - rewards] * 5)
    both = {"one": useless, "other": useless}
    chosen, default = nested_choices(both, rows, dict.fromkeys(both, MARGINS))
    assert (chosen == default).all()


def test_a_router_asked_for_by_name_is_judged_as_it_would_be_served() -> None:
    rewards = coins(500, 0.5, 0.55)
    chosen, _ = nested_choices(
        {"random": HeldOut(1.0 - rewards, None)}, judged(rewards), {"random": (0.0,)}
    )
    assert (rewards[np.arange(500), chosen] == rewards.min(axis=1)).all()


def test_a_router_without_inner_predictions_is_judged_by_its_outer_ones() -> None:
    rewards = coins(500, 0.5, 0.55)
    chosen, _ = nested_choices({"one": HeldOut(rewards, None)}, judged(rewards), {"one": (0.0,)})
    assert (rewards[np.arange(500), chosen] == rewards.max(axis=1)).all()


def test_the_least_error_goes_to_the_simplest_router_close_to_it() -> None:
    rewards = coins(500, 0.3, 0.7)
    rng = np.random.default_rng(1)
    truth = np.tile([0.3, 0.7], (500, 1))
    same = truth + rng.normal(scale=0.001, size=truth.shape)
    assert least_error({"simple": same, "rich": truth}, judged(rewards)) == "simple"
    worse = truth[:, ::-1].copy()
    assert least_error({"simple": worse, "rich": truth}, judged(rewards)) == "rich"


def gains(rows: int, mean: float, spread: float) -> NDArray[np.float64]:
    """Return gains of exactly this mean and spread."""
    drawn = np.random.default_rng(0).normal(size=rows)
    drawn = (drawn - drawn.mean()) / drawn.std(ddof=1)
    return mean + spread * drawn


@pytest.mark.parametrize(
    ("rows", "errors", "route"),
    [
        (FEWEST_TO_LEARN - 1, 9.0, False),
        (FEWEST_TO_LEARN, 2.6, True),
        (FEWEST_TO_LEARN, 2.4, False),
        (FEW - 1, 2.4, False),
        (FEW, 2.1, True),
        (FEW, 1.9, False),
        (FEW, -3.0, False),
    ],
)
def test_the_gain_must_exceed_its_standard_error(rows: int, errors: float, route: bool) -> None:
    values = gains(rows, errors / np.sqrt(rows), 1.0)
    verdict = judge_gain(values, judged(np.zeros((rows, 2))), "sonnet", seed=0)
    assert verdict.route is route


def test_gains_of_nothing_do_not_route() -> None:
    verdict = judge_gain(np.zeros(600), judged(np.zeros((600, 2))), "sonnet", seed=0)
    assert not verdict.route
    assert verdict.sentence == (
        "do not route: use sonnet (gain 0.0 points, 95 % interval 0.0 to 0.0)"
    )


def test_too_few_queries_are_said_to_be_too_few() -> None:
    verdict = judge_gain(np.ones(120), judged(np.zeros((120, 2))), "sonnet", seed=0)
    assert verdict.sentence == (
        "do not route: use sonnet (120 fully scored queries: at least 300 are needed to learn)"
    )


@pytest.mark.parametrize(
    ("gain", "route", "sentence"),
    [
        ((0.0512, 0.0104, 0.0931), True, "route (gain 5.1 points, 95 % interval 1.0 to 9.3)"),
        (
            (0.0112, -0.0104, 0.0331),
            True,
            "route (gain 1.1 points, 95 % interval -1.0 to 3.3, not shown beyond noise)",
        ),
        (
            (0.0112, -0.0104, 0.0331),
            False,
            "do not route: use sonnet (gain 1.1 points, 95 % interval -1.0 to 3.3)",
        ),
        (
            (-0.0001, -0.0004, 0.0002),
            False,
            "do not route: use sonnet (gain 0.0 points, 95 % interval 0.0 to 0.0)",
        ),
    ],
)
def test_the_verdict_is_said_in_one_sentence(
    gain: tuple[float, float, float], route: bool, sentence: str
) -> None:
    verdict = describe(Interval(*gain), route=route, best="sonnet")
    assert (verdict.route, verdict.sentence) == (route, sentence)
    assert (verdict.gain, verdict.gain_low, verdict.gain_high) == gain
