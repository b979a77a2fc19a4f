"""Find the cost weights behind the presets `quality`, `balanced` and `economy`."""

import numpy as np
from numpy.typing import NDArray

from regroup.artifact import Preset
from regroup.domain.catalog import Catalog, count_scripts
from regroup.errors import DataError
from training.dataset import Dataset, Matrix

KEEP = {"balanced": 0.99, "economy": 0.95}
"""Share of the best single candidate's reward that each preset keeps on held-out rows."""

_WEIGHTS = np.concatenate([[0.0], np.logspace(-1, 6, 141)])
"""Reward per US dollar; a call costs between a millionth and a few dollars."""


def expected_costs(
    data: Dataset, catalog: Catalog | None, log_tokens: NDArray[np.float64]
) -> Matrix:
    """Return the (rows, candidates) USD that the classifier would expect each call to cost.

    From catalog prices where there is a catalog, else each candidate's mean cost in the data,
    else 0: with nothing known of money, presets cannot differ.

    Raises:
        DataError: a candidate's cost is unknown where others' are known: it would pass for free.
    """
    if catalog is not None:
        return _catalog_costs(data, catalog, log_tokens)
    seen = np.isfinite(data.cost_usd)
    counts = seen.sum(axis=0)
    unknown = [name for name, n in zip(data.candidates, counts, strict=True) if n == 0]
    if counts.any() and unknown:
        raise DataError(
            f"cost_usd is known of some candidates, but not of {', '.join(unknown)}: "
            "add it, leave cost_usd out for all, or give a catalog"
        )
    sums = np.where(seen, data.cost_usd, 0.0).sum(axis=0)
    means = np.divide(sums, counts, out=np.zeros(len(data.candidates)), where=counts > 0)
    return np.repeat(means[None, :], len(data), axis=0)


def calibrate_presets(
    predicted: Matrix, realised: Matrix, costs: Matrix, weights: NDArray[np.float64], best: int
) -> dict[str, Preset]:
    """Return each preset's cost weight: the cheapest sweep point that keeps its share of reward.

    Args:
        predicted: (rows, candidates) held-out predictions.
        realised: (rows, candidates) rewards, no gaps.
        costs: (rows, candidates) expected USD.
        weights: (rows,) of sum 1.
        best: column of the best single candidate.
    """
    floor = float(weights @ realised[:, best])
    spent = float(weights @ costs[:, best])
    rows = np.arange(len(predicted))
    sweep: list[tuple[float, float, float]] = []
    for weight in _WEIGHTS:
        chosen = np.argmax(predicted - weight * costs, axis=1)
        reward, cost = weights @ realised[rows, chosen], weights @ costs[rows, chosen]
        sweep.append((float(cost), float(weight), float(reward)))

    def preset(cost: float, weight: float, reward: float) -> Preset:
        return Preset(weight, _share(reward, floor), _share(cost, spent))

    quality = next(point for point in sweep if point[1] == 0.0)
    presets = {"quality": preset(*quality)}
    for name, keep in KEEP.items():
        enough = [point for point in sweep if point[2] >= keep * floor]
        presets[name] = preset(*min(enough, default=quality))
    return presets


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _catalog_costs(data: Dataset, catalog: Catalog, log_tokens: NDArray[np.float64]) -> Matrix:
    unknown = [name for name in data.candidates if name not in catalog.candidates]
    if unknown:
        raise DataError(
            f"the catalog lacks {', '.join(unknown)}, which the data scores: "
            "add them to the catalog, or take their scores out of the data"
        )
    costs = np.zeros((len(data), len(data.candidates)))
    counts = [count_scripts(text) for text in data.texts]
    for c, name in enumerate(data.candidates):
        candidate = catalog.candidates[name]
        output = float(np.exp(log_tokens[c]))
        costs[:, c] = [
            candidate.cost_usd(candidate.estimate_tokens(count), output) for count in counts
        ]
    return costs
