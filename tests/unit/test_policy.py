"""The policy: what is chosen, with what probability, and who is next."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.policy import Choice, Knobs, Offer, Reason, choose, draw_for

OFFERS = {"cheap": Offer(0.5, 0.001), "dear": Offer(0.9, 0.1), "middle": Offer(0.7, 0.01)}

names = st.sampled_from(["a", "b", "c", "d", "e"])
offers = st.dictionaries(
    names, st.builds(Offer, st.floats(0, 1), st.floats(0, 10)), min_size=1, max_size=5
)
draws = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("cost_weight", "chosen"),
    [(0.0, "dear"), (3.0, "middle"), (1000.0, "cheap")],
)
def test_a_higher_cost_weight_moves_the_choice_to_cheaper_candidates(
    cost_weight: float, chosen: str
) -> None:
    choice = choose(OFFERS, Knobs(cost_weight, default="cheap"), draw=0.0)
    assert choice.candidate == chosen


def test_the_default_answers_unless_another_is_better_by_more_than_the_margin() -> None:
    assert choose(OFFERS, Knobs(0, "middle", min_margin=0.3), draw=0).reason is Reason.DEFAULT
    assert choose(OFFERS, Knobs(0, "middle", min_margin=0.1), draw=0) == Choice(
        "dear",
        Reason.LEARNED,
        {"cheap": 0.0, "dear": 1.0, "middle": 0.0},
        ("dear", "middle", "cheap"),
    )


def test_a_masked_default_leaves_the_choice_to_the_scores() -> None:
    assert choose(OFFERS, Knobs(0, "gone", min_margin=9.0), draw=0).candidate == "dear"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_prediction_that_is_not_finite_falls_to_the_default(bad: float) -> None:
    choice = choose({**OFFERS, "broken": Offer(bad, 0.0)}, Knobs(0, "middle"), draw=0)
    assert (choice.candidate, choice.reason) == ("middle", Reason.NOT_FINITE)


def test_a_tie_goes_to_the_cheaper() -> None:
    tied = {"dear": Offer(0.5, 0.2), "cheap": Offer(0.5, 0.1)}
    assert choose(tied, Knobs(0, "gone"), draw=0).candidate == "cheap"


@given(offers, st.floats(0, 100), names, st.floats(0, 1), draws)
def test_probabilities_sum_to_one_over_the_mask_and_the_ranking_names_each_once(
    offers: dict[str, Offer], weight: float, default: str, explore: float, draw: float
) -> None:
    choice = choose(offers, Knobs(weight, default, explore_share=explore), draw=draw)
    assert set(choice.probabilities) == set(offers)
    assert math.isclose(sum(choice.probabilities.values()), 1.0)
    assert choice.probabilities[choice.candidate] > 0
    assert sorted(choice.ranking) == sorted(offers)
    assert choice.ranking[0] == choice.candidate


def test_exploration_draws_each_candidate_as_often_as_it_says() -> None:
    knobs = Knobs(0.0, "cheap", explore_share=0.3)
    rounds = 20_000
    counts = dict.fromkeys(OFFERS, 0)
    for number in range(rounds):
        choice = choose(OFFERS, knobs, draw=draw_for(f"id-{number}"))
        counts[choice.candidate] += 1
    expected = {"cheap": 0.1, "middle": 0.1, "dear": 0.8}
    chi_square = sum((counts[n] - rounds * p) ** 2 / (rounds * p) for n, p in expected.items())
    assert chi_square < 13.8  # 99.9 % of a chi-square with two degrees of freedom


def test_an_explored_choice_says_so() -> None:
    knobs = Knobs(0.0, "cheap", explore_share=1.0)
    reasons = {choose(OFFERS, knobs, draw=draw_for(str(n))).reason for n in range(50)}
    assert Reason.EXPLORED in reasons
