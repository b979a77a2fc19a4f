"""The evaluation: every policy on rows held out, in worlds whose truth is known."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from regroup.errors import DataError
from tests.local.planted import World, world
from training.clusters import Clusters, fit_clusters
from training.curves import bandit_curve, ground_of, learning_curve, one_label_a_row
from training.evaluate import Evaluation, measure, metrics
from training.policies import BEST_SINGLE, DEFAULT
from training.presets import expected_costs, paid_costs
from training.scenes import Task, stage_folds, stage_split
from training.selection import Costs

PRICES = (0.001, 0.002, 0.05)
COMPARED = ("cluster-mean", "ridge-cluster", "softmax", "knn")


def task_of(one: World, *, router: str = "auto", compared: tuple[str, ...] = COMPARED) -> Task:
    expected = expected_costs(one.data, one.data, None, np.zeros_like(one.data.rewards))
    costs = Costs(expected, paid_costs(one.data, expected))
    return Task(one.data, one.sample, costs, compared, router, "rows", 0)


def split_in_two(one: World) -> World:
    splits = np.array(["train", "train", "test"] * len(one.data.texts))[: len(one.data.texts)]
    return replace(one, data=replace(one.data, splits=splits))


def clusters_of(one: World) -> Clusters:
    return fit_clusters(one.sample.embeddings, seed=0, n_clusters=4)


@cache
def by_split() -> Evaluation:
    one = split_in_two(world(1_500, prices=PRICES, datasets=2))
    task = task_of(one)
    return measure(task, clusters_of(one), stage_split(task))


@cache
def by_folds() -> Evaluation:
    one = world(900)
    task = task_of(one, compared=("cluster-mean", "ridge-cluster"))
    return measure(task, clusters_of(one), stage_folds(task))


@pytest.mark.parametrize("evaluation", [by_split, by_folds], ids=["split", "folds"])
def test_no_policy_beats_asking_all_and_none_of_the_routers_loses_to_chance(
    evaluation: Callable[[], Evaluation],
) -> None:
    found = evaluation()
    lines = {line.name: line for line in found.lines}
    most = lines["asks all, takes the best"].reward
    assert all(line.reward <= most + 1e-9 for line in found.lines)
    for name in ("best single", "cluster-mean", "ridge-cluster", DEFAULT):
        assert lines[name].reward > lines["random"].reward


@pytest.mark.parametrize("evaluation", [by_split, by_folds], ids=["split", "folds"])
def test_the_planted_specialist_is_found(evaluation: Callable[[], Evaluation]) -> None:
    found = evaluation()
    gain = found.line(DEFAULT).gain
    assert gain.low > 0
    assert found.verdict.sentence.startswith(f"route (gain {100 * gain.mean:.1f} points")


def test_regret_and_accuracy_follow_from_the_rewards() -> None:
    found = by_split()
    scene = found.staged.scenes[0]
    top = scene.rewards.max(axis=1)
    chosen = scene.rewards[np.arange(len(top)), scene.routed]
    line = found.line(DEFAULT)
    assert line.regret == pytest.approx((top - chosen).mean())
    assert line.accuracy == pytest.approx((chosen == top).mean())
    assert found.line("asks all, takes the best").accuracy == pytest.approx(1.0)


def test_of_tied_winners_every_one_is_right() -> None:
    found = by_split()
    scene = found.staged.scenes[0]
    winners = (scene.rewards == scene.rewards.max(axis=1, keepdims=True)).mean(axis=1)
    assert found.line("random").accuracy == pytest.approx(winners.mean())


def test_asking_all_costs_what_all_cost() -> None:
    assert by_split().line("asks all, takes the best").cost_usd == pytest.approx(sum(PRICES))
    assert by_split().line("cheapest").cost_usd == pytest.approx(PRICES[0])


def test_the_blind_mix_pays_what_the_preset_pays() -> None:
    found = by_split()
    economy = found.line(f"{DEFAULT}, economy")
    blind = found.line("blind mix at the cost of economy")
    assert blind.cost_usd == pytest.approx(economy.cost_usd)
    assert economy.reward > blind.reward


def test_the_frontier_of_a_router_is_never_below_that_of_the_models_alone() -> None:
    for trade in by_split().trades.values():
        assert trade.area >= trade.blind_area - 1e-12
        assert trade.above_blind.mean == pytest.approx(trade.area - trade.blind_area)
        full, less, least = trade.cost_shares
        assert full >= less >= least


def test_without_costs_nothing_is_said_of_them() -> None:
    found = by_folds()
    assert not found.trades
    assert not any("blind" in line.name or "cheapest" in line.name for line in found.lines)


def test_where_routing_does_not_pay_the_default_router_is_the_best_single_model() -> None:
    one = world(900, specialist=0.0)
    task = task_of(one, compared=("cluster-mean",))
    found = measure(task, clusters_of(one), stage_folds(task))
    assert found.verdict.sentence.startswith("do not route: use cat (gain ")
    assert found.line(DEFAULT).gain.mean == 0.0
    assert found.line(DEFAULT).reward == found.line(BEST_SINGLE).reward


def test_test_rows_do_not_decide_anything() -> None:
    one = split_in_two(world(900))
    other = replace(one, data=replace(one.data, rewards=one.data.rewards.copy()))
    rows = one.data.splits == "test"
    other.data.rewards[rows] = 1.0 - other.data.rewards[rows]
    other = replace(other, sample=replace(one.sample, rewards=other.data.rewards))
    first, second = (
        stage_split(task_of(each, compared=("cluster-mean", "softmax"))) for each in (one, other)
    )
    assert (first.scenes[0].routed == second.scenes[0].routed).all()
    for name, predicted in first.scenes[0].predicted.items():
        assert (predicted == second.scenes[0].predicted[name]).all()
    assert first.selection.verdict == second.selection.verdict


def test_a_test_split_without_any_fully_scored_row_is_refused() -> None:
    one = split_in_two(world(600))
    one.data.rewards[one.data.splits == "test", 0] = np.nan
    with pytest.raises(DataError, match="no row of split test has a reward from every candidate"):
        stage_split(task_of(one))


def test_metrics_are_flat_and_plain_json() -> None:
    flat = metrics(by_split())
    assert json.loads(json.dumps(flat)) == flat
    wanted = {"rows", "best_single", "best_single_mean", "router", "router_mean"}
    wanted |= {"gain", "gain_low", "gain_high", "verdict"}
    assert wanted <= flat.keys()
    assert flat["best_single"] == "cat"
    assert flat["gain"] == pytest.approx(
        float(flat["router_mean"]) - float(flat["best_single_mean"])
    )


def test_the_learning_curve_starts_at_no_gain_and_rises() -> None:
    task = task_of(split_in_two(world(1_800)))
    points = learning_curve(task, ground_of(task, np.flatnonzero(task.data.splits == "test")))
    assert [point.rows for point in points] == [100, 300, 1_000]
    assert points[0].gain.mean == 0.0  # too few to learn from
    assert points[-1].gain.low > 0


def test_one_label_a_row_is_enough_in_the_end() -> None:
    task = task_of(split_in_two(world(3_200)))
    ground = ground_of(task, np.flatnonzero(task.data.splits == "test"))
    points = bandit_curve(task, ground, "cluster-mean")
    assert points[-1].rows == 2_000
    assert points[-1].gain.low > 0


def test_hidden_labels_leave_one_a_row_evenly() -> None:
    rewards = np.random.default_rng(0).uniform(size=(3_000, 3))
    rewards[0] = [np.nan, 0.5, np.nan]
    hidden = one_label_a_row(rewards, np.random.default_rng(1))
    seen = np.isfinite(hidden)
    assert (seen.sum(axis=1) == 1).all()
    assert hidden[0, 1] == 0.5
    assert (np.abs(seen.mean(axis=0) - 1 / 3) < 0.03).all()
    assert (hidden[seen] == rewards[seen]).all()
