"""Presets: no weight on cost, or as much as keeps a share of the best single model's reward."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.artifact import Preset
from regroup.domain.catalog import Candidate, Capabilities, Catalog, Prices
from regroup.errors import DataError
from training.dataset import Dataset, Matrix
from training.intervals import Average
from training.presets import KEEP, HeldOutRows, calibrate_presets, expected_costs, paid_costs

ROWS, NAN = 200, np.nan


def dataset(
    candidates: tuple[str, ...], cost_usd: list[list[float]], texts: tuple[str, ...] = ()
) -> Dataset:
    rows = len(cost_usd)
    return Dataset(
        texts=texts or ("x",) * rows,
        candidates=candidates,
        rewards=np.zeros((rows, len(candidates))),
        cost_usd=np.array(cost_usd, np.float64),
        output_tokens=np.full((rows, len(candidates)), NAN),
        datasets=np.array(["all"] * rows),
        splits=np.array(["train"] * rows),
        sha256="0" * 64,
    )


def catalog(prices: Mapping[str, tuple[float, float]]) -> Catalog:
    return Catalog(
        {
            name: Candidate(
                name=name,
                family="test",
                model_id=name,
                region="us-east-1",
                prices=Prices(given, taken),
                context_tokens=100_000,
                max_output_tokens=4_000,
                tokens_per_char={"latin": 0.25, "cjk": 1.0, "other": 1.0},
                capabilities=Capabilities(),
                residency="us",
            )
            for name, (given, taken) in prices.items()
        }
    )


def trade_off(seed: int) -> tuple[Matrix, Matrix, Matrix]:
    """Predicted and realised rewards, and costs, where the dearest of three is mostly the best."""
    rng = np.random.default_rng(seed)
    realised = np.clip(rng.normal([0.5, 0.7, 0.8], 0.2, size=(ROWS, 3)), 0.0, 1.0)
    predicted = realised + rng.normal(scale=0.1, size=(ROWS, 3))
    costs = np.array([0.0001, 0.001, 0.01]) * rng.uniform(0.5, 2.0, size=(ROWS, 1))
    return predicted, realised, costs


def outcome(
    weight: float, predicted: Matrix, realised: Matrix, costs: Matrix
) -> tuple[float, float]:
    """Mean reward and cost of choosing with this cost weight."""
    chosen = np.argmax(predicted - weight * costs, axis=1)
    rows = np.arange(len(chosen))
    return float(realised[rows, chosen].mean()), float(costs[rows, chosen].mean())


def presets_of(
    predicted: Matrix,
    realised: Matrix,
    costs: Matrix,
    best: int,
    *,
    datasets: list[str] | None = None,
    average: Average = "rows",
    margin: float = 0.0,
) -> dict[str, Preset]:
    names = np.array(datasets or ["all"] * len(predicted))
    rows = HeldOutRows(predicted, realised, costs, costs, names, average)
    return calibrate_presets(rows, best, quality_margin=margin, seed=0)


def test_quality_gives_cost_no_weight() -> None:
    predicted, realised, costs = trade_off(0)
    quality = presets_of(predicted, realised, costs, 2)["quality"]
    reward, cost = outcome(0.0, predicted, realised, costs)
    assert quality.cost_weight == 0.0
    assert quality.reward_share == pytest.approx(reward / realised[:, 2].mean())
    assert quality.cost_share == pytest.approx(cost / costs[:, 2].mean())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_preset_is_the_cheapest_point_that_keeps_its_share(seed: int) -> None:
    predicted, realised, costs = trade_off(seed)
    floor = realised[:, 2].mean()
    presets = presets_of(predicted, realised, costs, 2)
    assert list(presets) == ["quality", "balanced", "economy"]
    for name, keep in KEEP.items():
        preset = presets[name]
        reward, cost = outcome(preset.cost_weight, predicted, realised, costs)
        assert reward >= keep * floor
        assert preset.reward_share == pytest.approx(reward / floor)
        assert preset.cost_share == pytest.approx(cost / costs[:, 2].mean())
        for other in (0.0, *np.geomspace(0.1, 1e6, 141)):
            reward, other_cost = outcome(other, predicted, realised, costs)
            assert reward < keep * floor or other_cost >= cost - 1e-12
    assert presets["economy"].cost_share <= presets["balanced"].cost_share  # type: ignore[operator]


def test_presets_differ_where_there_is_something_to_save() -> None:
    presets = presets_of(*trade_off(0), 2)
    weights = [preset.cost_weight for preset in presets.values()]
    assert weights == sorted(set(weights))
    assert presets["economy"].cost_share < 0.6  # type: ignore[operator]


def test_without_costs_no_preset_gives_them_weight() -> None:
    predicted, realised, costs = trade_off(0)
    presets = presets_of(predicted, realised, np.zeros_like(costs), 2)
    assert {preset.cost_weight for preset in presets.values()} == {0.0}
    assert {preset.cost_share for preset in presets.values()} == {None}


def test_where_no_point_keeps_enough_all_presets_are_quality() -> None:
    # The router is no use: it always chooses the wrong one of two that cost the same.
    realised = np.array([[0.0, 1.0]] * ROWS)
    presets = presets_of(1 - realised, realised, np.full((ROWS, 2), 0.01), 1)
    kept = {(p.cost_weight, p.reward_share, p.cost_share) for p in presets.values()}
    assert kept == {(0.0, 0.0, 1.0)}


def test_every_dataset_counts_alike_where_that_is_asked() -> None:
    # The dear one is needed in the small data set only.
    realised = np.array([[1.0, 1.0]] * 190 + [[0.0, 1.0]] * 10)
    costs = np.tile([0.001, 0.01], (ROWS, 1))
    predicted = np.tile([0.5, 0.6], (ROWS, 1))
    names = ["large"] * 190 + ["small"] * 10
    by_rows = presets_of(predicted, realised, costs, 1, datasets=names)["economy"]
    by_datasets = presets_of(predicted, realised, costs, 1, datasets=names, average="datasets")[
        "economy"
    ]
    assert by_rows.cost_share == pytest.approx(0.1)
    assert by_datasets.cost_share == pytest.approx(1.0)


def test_shares_carry_an_interval_that_holds_them() -> None:
    for preset in presets_of(*trade_off(3), 2).values():
        assert preset.reward_share_low < preset.reward_share < preset.reward_share_high  # type: ignore[operator]
        assert preset.cost_share_low < preset.cost_share < preset.cost_share_high  # type: ignore[operator]


def test_the_margin_holds_for_quality_alone() -> None:
    predicted, realised, costs = trade_off(0)
    never = presets_of(predicted, realised, costs, 2, margin=10.0)
    assert never["quality"].reward_share == pytest.approx(1.0)
    assert never["quality"].cost_share == pytest.approx(1.0)
    assert [preset.min_margin for preset in never.values()] == [10.0, 0.0, 0.0]


def test_a_cost_that_nobody_wrote_down_is_the_expected_one() -> None:
    data = dataset(("a", "b"), [[0.1, NAN], [NAN, 0.5]])
    paid = paid_costs(data, np.full((2, 2), 0.3))
    assert paid.tolist() == [[0.1, 0.3], [0.3, 0.5]]


def test_costs_are_learned_from_the_rows_that_may_be_learned_from() -> None:
    data = dataset(("a",), [[0.1], [0.3], [9.0]])
    known = data.take(np.array([0, 1]))
    np.testing.assert_allclose(expected_costs(data, known, None, np.zeros((3, 1))), 0.2)


def test_costs_are_each_candidates_mean_where_there_is_no_catalog() -> None:
    data = dataset(("a", "b"), [[0.1, NAN], [0.3, 0.5], [NAN, NAN]])
    expected = [[0.2, 0.5]] * 3
    np.testing.assert_allclose(expected_costs(data, data, None, np.zeros((3, 2))), expected)


def test_costs_are_zero_where_nothing_is_known_of_them() -> None:
    data = dataset(("a", "b"), [[NAN, NAN]] * 3)
    np.testing.assert_array_equal(
        expected_costs(data, data, None, np.zeros((3, 2))), np.zeros((3, 2))
    )


def test_a_candidate_of_unknown_cost_does_not_pass_for_free() -> None:
    data = dataset(("a", "b", "c"), [[0.1, NAN, NAN], [0.3, NAN, NAN]])
    with pytest.raises(DataError, match=r"cost_usd .* not of b, c: add it"):
        expected_costs(data, data, None, np.zeros((2, 3)))


def test_catalog_prices_are_used_where_there_is_a_catalog() -> None:
    texts = ("x" * 400, "東" * 400)
    data = dataset(("a", "b"), [[9.0, 9.0]] * 2, texts)
    prices = catalog({"b": (2.0, 20.0), "a": (1.0, 10.0), "other": (5.0, 5.0)})
    costs = expected_costs(data, data, prices, np.tile([100.0, 50.0], (2, 1)))
    millionths = [[100 * 1 + 100 * 10, 100 * 2 + 50 * 20], [400 + 1000, 800 + 1000]]
    np.testing.assert_allclose(costs, np.array(millionths) / 1e6)


def test_a_candidate_that_the_catalog_lacks_is_named() -> None:
    data = dataset(("a", "b", "c"), [[0.1, 0.1, 0.1]])
    with pytest.raises(DataError, match="the catalog lacks b, c, which the data scores"):
        expected_costs(data, data, catalog({"a": (1.0, 1.0)}), np.zeros((1, 3)))
