"""The policy: what is chosen, with what probability, and who is next."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.policy import (
    Choice,
    Exploration,
    Knobs,
    Offer,
    Reason,
    choose,
    draw_for,
    mix,
)

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
        cost_weight=0,
        scores={"cheap": 0.5, "dear": 0.9, "middle": 0.7},
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
    choice = choose(offers, Knobs(weight, default, exploration=Exploration(explore)), draw=draw)
    assert set(choice.probabilities) == set(offers)
    assert math.isclose(sum(choice.probabilities.values()), 1.0)
    assert choice.probabilities[choice.candidate] > 0
    assert sorted(choice.ranking) == sorted(offers)
    assert choice.ranking[0] == choice.candidate


def test_exploration_draws_each_candidate_as_often_as_it_says() -> None:
    knobs = Knobs(0.0, "cheap", exploration=Exploration(0.3))
    rounds = 100_000
    counts = dict.fromkeys(OFFERS, 0)
    for number in range(rounds):
        choice = choose(OFFERS, knobs, draw=draw_for(f"id-{number}"))
        counts[choice.candidate] += 1
    expected = {"cheap": 0.1, "middle": 0.1, "dear": 0.8}
    chi_square = sum((counts[n] - rounds * p) ** 2 / (rounds * p) for n, p in expected.items())
    assert chi_square < 13.8  # 99.9 % of a chi-square with two degrees of freedom


def test_an_explored_choice_says_so() -> None:
    knobs = Knobs(0.0, "cheap", exploration=Exploration(1.0))
    reasons = {choose(OFFERS, knobs, draw=draw_for(str(n))).reason for n in range(50)}
    assert Reason.EXPLORED in reasons


@pytest.mark.parametrize(
    ("exploration", "expected"),
    [
        (Exploration(0.3, floor=0.2), {"cheap": 0.2, "middle": 0.2, "dear": 0.6}),
        (Exploration(0.3, floor=0.5), {"cheap": 1 / 3, "middle": 1 / 3, "dear": 1 / 3}),
        (Exploration(0.0, floor=0.2), {"cheap": 0.0, "middle": 0.0, "dear": 1.0}),
        (Exploration(0.4, among=frozenset({"cheap"})), {"cheap": 0.4, "middle": 0, "dear": 0.6}),
        (Exploration(0.4, among=frozenset({"gone"})), {"cheap": 0.0, "middle": 0.0, "dear": 1.0}),
        (
            Exploration(0.4, among=frozenset({"cheap", "dear"})),
            {"cheap": 0.2, "middle": 0.0, "dear": 0.8},
        ),
    ],
)
def test_exploration_has_a_floor_and_draws_only_among_those_it_may(
    exploration: Exploration, expected: dict[str, float]
) -> None:
    choice = choose(OFFERS, Knobs(0.0, "gone", exploration=exploration), draw=0.0)
    assert choice.probabilities == pytest.approx(expected)


@given(offers, st.floats(0, 1), st.floats(0, 0.5), st.frozensets(names), draws)
def test_only_what_may_be_drawn_is_ever_drawn(
    offers: dict[str, Offer], share: float, floor: float, among: frozenset[str], draw: float
) -> None:
    exploration = Exploration(share, floor, among)
    choice = choose(offers, Knobs(1.0, "a", exploration=exploration), draw=draw)
    assert math.isclose(sum(choice.probabilities.values()), 1.0)
    if choice.reason is Reason.EXPLORED:
        assert choice.candidate in among
    if share > 0:
        drawn = [choice.probabilities[name] for name in offers if name in among]
        assert all(p >= min(floor, 1 / len(drawn)) - 1e-12 for p in drawn)


@given(
    offers,
    st.dictionaries(
        st.sampled_from(["x", "y", "z"]), st.builds(Offer, st.floats(0, 1), st.just(0.0))
    ),
)
def test_whoever_rests_is_never_chosen_and_asked_after_all_others(
    offers: dict[str, Offer], resting: dict[str, Offer]
) -> None:
    knobs = Knobs(1.0, "a", exploration=Exploration(1.0))
    choice = choose(offers, knobs, draw=0.5, resting=resting)
    asked, rest = choice.ranking[: len(offers)], choice.ranking[len(offers) :]
    assert replace(choice, ranking=asked) == choose(offers, knobs, draw=0.5)
    assert list(rest) == sorted(resting, key=lambda name: (-resting[name].reward, name))


# Conversations


@given(
    st.dictionaries(
        names,
        st.builds(Offer, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
        min_size=2,
        max_size=5,
    ),
    names,
    st.floats(0, 10),
    st.floats(0, 1),
)
def test_a_conversation_changes_its_model_only_where_the_saving_exceeds_the_switch_cost(
    offers: dict[str, Offer], incumbent: str, weight: float, margin: float
) -> None:
    if incumbent in offers:
        offers[incumbent] = Offer(offers[incumbent].reward, offers[incumbent].cost_usd)
    choice = choose(offers, Knobs(weight, "a", margin, incumbent), draw=0.0)
    if incumbent not in offers:
        assert choice.staying is None
        return
    assert choice.staying is not None
    leaves = choice.staying.saving > choice.staying.switch_cost
    assert (choice.candidate != incumbent) is leaves
    to = Reason.DEFAULT if choice.candidate == "a" else Reason.LEARNED
    assert choice.reason is (to if leaves else Reason.SESSION)
    assert choice.staying.rival != incumbent


@pytest.mark.parametrize(
    ("knobs", "chosen"),
    [
        (Knobs(0, "dear", 10, "middle", return_margin=0.05), "dear"),
        (Knobs(0, "dear", 10, "middle", return_margin=0.5), "middle"),
        (Knobs(0, "dear", 10, "middle", return_margin=0.05, goes_on=True), "middle"),
        # No third one slips in where a new conversation would get the default.
        (Knobs(0, "cheap", 10, "middle", return_margin=0.05), "middle"),
    ],
    ids=["it leads", "by too little", "only goes on", "a third is better"],
)
def test_the_default_takes_back_what_a_fallback_answered_also_where_none_may_leave_it(
    knobs: Knobs, chosen: str
) -> None:
    assert choose(OFFERS, knobs, draw=0.0).candidate == chosen


@pytest.mark.parametrize(
    ("switch_cost_usd", "chosen"), [(0.0, "dear"), (0.04, "dear"), (0.06, "cheap")]
)
def test_a_cold_prompt_cache_is_priced(switch_cost_usd: float, chosen: str) -> None:
    offers = {"cheap": Offer(0.5, 0.0), "dear": Offer(0.8, 0.05, switch_cost_usd)}
    choice = choose(offers, Knobs(3.0, "dear", 0.0, incumbent="cheap"), draw=0.0)
    assert choice.candidate == chosen
    assert choice.staying is not None
    assert choice.staying.saving == pytest.approx(0.15)
    assert choice.staying.switch_cost == pytest.approx(3.0 * switch_cost_usd)
    assert choice.staying.switch_cost_usd == switch_cost_usd


def test_a_model_that_left_the_mask_leaves_the_conversation_to_the_default_rule() -> None:
    choice = choose(OFFERS, Knobs(0, "middle", 0.3, incumbent="gone"), draw=0)
    assert (choice.candidate, choice.reason) == ("middle", Reason.DEFAULT)


def test_mixing_weighs_both_versions_over_all_that_either_may_choose() -> None:
    mixed = mix({"a": 1.0, "b": 0.0}, {"b": 0.5, "c": 0.5}, 0.2)
    assert mixed == pytest.approx({"a": 0.8, "b": 0.1, "c": 0.1})
