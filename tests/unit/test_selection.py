"""Which router is served, and what is said of it, in worlds whose truth is known."""

import numpy as np
import pytest

from regroup.errors import DataError
from tests.local.planted import World, logged, world
from training.affine import AffineMaps
from training.comparison import Comparison, compare, routers_named
from training.presets import NEVER, expected_costs, paid_costs
from training.ridge import CLOSED_FORM
from training.routers import AUTO, ROUTERS
from training.selection import Costs, Selection, select


def costs_of(one: World) -> Costs:
    expected = expected_costs(one.data, one.data, None, np.zeros_like(one.data.rewards))
    return Costs(expected, paid_costs(one.data, expected))


def selected(one: World, router: str = AUTO) -> tuple[Selection, Comparison]:
    names = routers_named(router)
    compared = compare(one.data, one.sample, names, average="rows", seed=0)
    found = select(one.data, one.sample, costs_of(one), compared, router=router, seed=0)
    return found, compared


def true_gain(one: World, maps: AffineMaps, margin: float) -> float:
    predicted = maps.predict(one.sample.embeddings, one.sample.labels)
    best = int(one.chances.mean(axis=0).argmax())
    chosen = predicted.argmax(axis=1)
    leads = predicted.max(axis=1) - predicted[:, best]
    chosen = np.where(leads > margin, chosen, best)
    rows = np.arange(len(chosen))
    return float((one.chances[rows, chosen] - one.chances[:, best]).mean())


def test_where_a_specialist_is_planted_a_router_is_served_that_finds_it() -> None:
    one = world(1_200, specialist=0.3)
    found, _ = selected(one)
    assert found.verdict.route
    assert found.router in CLOSED_FORM
    assert found.verdict.sentence.startswith("route (gain ")
    possible = one.chances.max(axis=1).mean() - one.chances.mean(axis=0).max()
    assert true_gain(one, found.maps, found.min_margin) > 0.7 * possible


def test_where_nothing_is_to_be_learned_the_best_single_candidate_is_served() -> None:
    found, compared = selected(world(1_200, specialist=0.0))
    assert not found.verdict.route
    assert found.router == "best-single"
    assert found.verdict.sentence.startswith("do not route: use cat (gain ")
    assert not found.maps.weights.any()
    assert int(found.maps.bias[0].argmax()) == compared.default == 2


def test_below_300_fully_scored_queries_no_router_is_learned() -> None:
    found, _ = selected(world(299, specialist=0.4))
    assert found.router == "best-single"
    assert "299 fully scored queries" in found.verdict.sentence


def test_a_named_router_is_served_whatever_the_gate_says_of_it() -> None:
    found, _ = selected(world(600, specialist=0.0), "ridge-cluster")
    assert found.router == "ridge-cluster"
    assert not found.verdict.route


@pytest.mark.parametrize("router", ["softmax", "kl", "matrix-factorisation", "random"])
def test_routers_whose_scores_are_no_rewards_have_no_presets_by_cost(router: str) -> None:
    found, _ = selected(world(600, prices=(0.001, 0.002, 0.05)), router)
    assert found.router == router
    assert {preset.cost_weight for preset in found.presets.values()} == {0.0}


def test_random_is_never_said_to_pay() -> None:
    verdict = selected(world(600), "random")[0].verdict
    assert not verdict.route
    assert verdict.gain < 0


@pytest.mark.parametrize("router", ["knn", "nonsense", ""])
def test_a_router_that_cannot_be_served_is_refused_with_the_names_of_those_that_can(
    router: str,
) -> None:
    with pytest.raises(DataError, match="there are: auto, cluster-mean, pooled-ridge"):
        routers_named(router)


def test_every_router_has_a_name_of_its_own() -> None:
    assert len(set(ROUTERS)) == len(ROUTERS)


def dear_generalist(rows: int) -> World:
    """Return a world where the dear candidate is the best everywhere, and on one topic by little.

    There the cheap one is nearly as good: routing can save money and never raise the reward.
    """
    one = world(rows, specialist=0.0, prices=(0.001, 0.002, 0.05))
    rng = np.random.default_rng(1)
    easy = one.sample.labels < 2
    one.chances[:] = np.where(easy[:, None], [0.9, 0.5, 0.9], [0.1, 0.3, 0.8])
    common = rng.uniform(size=(rows, 1))
    one.data.rewards[:] = common < one.chances
    return one


def test_routing_that_only_saves_money_is_told_apart_from_routing_that_raises_rewards() -> None:
    found, _ = selected(dear_generalist(1_200))
    assert found.verdict.route
    assert found.verdict.sentence.startswith("route by price (")
    assert "economy keeps" in found.verdict.sentence
    assert found.presets["quality"].min_margin == NEVER
    economy = found.presets["economy"]
    assert economy.cost_share is not None
    assert economy.reward_share is not None
    assert economy.cost_share < 0.8
    assert economy.reward_share >= 0.95


def test_quality_costs_what_the_best_single_candidate_costs_where_only_money_is_saved() -> None:
    found, _ = selected(dear_generalist(1_200))
    quality = found.presets["quality"]
    assert quality.reward_share == pytest.approx(1.0)
    assert quality.cost_share == pytest.approx(1.0)


def test_cheaper_candidates_without_any_skill_to_find_are_no_reason_to_route() -> None:
    found, _ = selected(world(1_200, specialist=0.0, prices=(0.001, 0.002, 0.05)))
    assert not found.verdict.route


def test_the_same_seed_selects_the_very_same() -> None:
    first, second = (selected(world(600))[0] for _ in range(2))
    assert first.verdict == second.verdict
    assert (first.maps.weights == second.maps.weights).all()
    assert first.presets == second.presets


def test_every_dataset_counts_alike_where_that_is_asked() -> None:
    # One small data set, where the first candidate is best, decides as much as the large one.
    one = world(1_000, specialist=0.0)
    one.data.datasets[:] = np.where(np.arange(1_000) < 100, "small", "large")
    one.data.rewards[:100] = [1.0, 0.0, 0.0]
    by_rows = compare(one.data, one.sample, ("cluster-mean",), average="rows", seed=0)
    by_datasets = compare(one.data, one.sample, ("cluster-mean",), average="datasets", seed=0)
    assert (by_rows.default, by_datasets.default) == (2, 0)


def test_from_logged_decisions_alone_a_planted_specialist_is_found() -> None:
    one = logged(world(4_000, specialist=0.3))
    found, compared = selected(one)
    assert len(compared.judged) == 4_000
    assert found.verdict.route
    possible = one.chances.max(axis=1).mean() - one.chances.mean(axis=0).max()
    assert true_gain(one, found.maps, found.min_margin) > 0.5 * possible
    assert found.verdict.gain_low < possible < found.verdict.gain_high + 0.05


def test_from_logged_decisions_with_nothing_to_learn_the_best_single_candidate_is_served() -> None:
    found, compared = selected(logged(world(2_000, specialist=0.0)))
    assert not found.verdict.route
    assert compared.default == 2


def test_fully_scored_rows_are_judged_by_where_they_are_enough() -> None:
    one = logged(world(1_000))
    one.data.rewards[:400] = world(1_000).data.rewards[:400]
    _, compared = selected(one)
    assert compared.judged.tolist() == list(range(400))
