"""Simulated logs of known truth: how often do 95 % intervals of off-policy estimates hold it?

Every log comes from a world of its own. Mean rewards are no linear function of the embedding, so
the ridges that predict them are wrong; the logging policy draws from a softmax mixed with even
exploration, and the policy under evaluation takes the best by a ridge of other rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regroup.domain.offpolicy import Floats, Logged, doubly_robust, ips, snips

DIMS = 16
CANDIDATES = 5
EXPLORED = 0.25
"""The share of logged decisions drawn evenly."""

_TRAINING_ROWS = 400
_TRUTH_ROWS = 20_000
_FOLDS = 5
_PENALTY = 1.0
_SHARPNESS = 8.0
_CONCENTRATION = 4.0


@dataclass(frozen=True, slots=True)
class World:
    """What every candidate earns, on average, on every query."""

    slopes: Floats
    """(dims, candidates)"""
    bends: Floats
    """(dims, candidates)"""
    levels: Floats
    """(candidates,)"""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "World":
        """Draw a world."""
        shape = (DIMS, CANDIDATES)
        return cls(
            rng.normal(0.0, 1.5, shape), rng.normal(0.0, 3.0, shape), rng.normal(0.0, 0.5, shape[1])
        )

    def means(self, queries: Floats) -> Floats:
        """Return the (rows, candidates) mean rewards of (rows, dims) queries."""
        bent = np.sin(queries @ self.bends)
        return np.asarray(1.0 / (1.0 + np.exp(-(queries @ self.slopes + bent + self.levels))))


@dataclass(frozen=True, slots=True)
class Simulated:
    """A log, two policies to evaluate on it, and what they truly earn."""

    logged: Logged
    target: Floats
    """(rows, candidates) one-hot: the greedy choice of a ridge"""
    other: Floats
    """(rows, candidates) one-hot: the one candidate best on the ridge's rows"""
    predicted: Floats
    """(rows, candidates) cross-fitted on the log"""
    truth: float
    """Mean reward of `target` over the world's queries."""
    other_truth: float


def simulate(rows: int, *, seed: tuple[int, ...]) -> Simulated:
    """Draw a world and a log of it; rewards are 0 or 1 in some worlds, a beta draw in others."""
    rng = np.random.default_rng(seed)
    world = World.draw(rng)
    binary = bool(rng.integers(2))
    seen = _queries(_TRAINING_ROWS, rng)
    seen_rewards = _rewards(world.means(seen), binary, rng)
    ridge = _ridge(seen, seen_rewards)
    single = int(seen_rewards.mean(axis=0).argmax())

    queries = _queries(rows, rng)
    means = world.means(queries)
    softmax = np.exp(_SHARPNESS * (means + rng.normal(0.0, 0.2, means.shape)))
    softmax /= softmax.sum(axis=1, keepdims=True)
    probabilities = (1.0 - EXPLORED) * softmax + EXPLORED / CANDIDATES
    drawn = rng.random((rows, 1)) > probabilities.cumsum(axis=1)
    actions = np.minimum(drawn.sum(axis=1), CANDIDATES - 1)
    each = np.arange(rows)
    logged = Logged(
        actions, _rewards(means[each, actions], binary, rng), probabilities[each, actions]
    )

    many = _queries(_TRUTH_ROWS, rng)
    earned = world.means(many)
    return Simulated(
        logged=logged,
        target=_one_hot(_predict(ridge, queries).argmax(axis=1)),
        other=_one_hot(np.full(rows, single)),
        predicted=_cross_fitted(queries, logged),
        truth=float(earned[np.arange(_TRUTH_ROWS), _predict(ridge, many).argmax(axis=1)].mean()),
        other_truth=float(earned[:, single].mean()),
    )


def coverage(worlds: int, rows: int, seed: int) -> dict[str, float]:
    """Return by estimator the share of worlds whose 95 % interval holds the true mean reward.

    Args:
        worlds: how many logs, each of a world of its own.
        rows: logged rows in each.
        seed: decides them all.
    """
    held = dict.fromkeys(("ips", "snips", "dr"), 0)
    for world in range(worlds):
        one = simulate(rows, seed=(seed, world))
        estimates = {
            "ips": ips(one.logged, one.target),
            "snips": snips(one.logged, one.target),
            "dr": doubly_robust(one.logged, one.target, one.predicted),
        }
        for name, estimate in estimates.items():
            held[name] += bool(estimate.low <= one.truth <= estimate.high)
    return {name: count / worlds for name, count in held.items()}


def _queries(rows: int, rng: np.random.Generator) -> Floats:
    directions = rng.normal(size=(rows, DIMS))
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def _rewards(means: Floats, binary: bool, rng: np.random.Generator) -> Floats:
    if binary:
        return np.asarray(rng.random(means.shape) < means, np.float64)
    return rng.beta(_CONCENTRATION * means, _CONCENTRATION * (1.0 - means))


def _ridge(queries: Floats, rewards: Floats) -> Floats:
    """Return (dims + 1, targets) coefficients, the intercept first and not penalised."""
    x = _augmented(queries)
    penalty = _PENALTY * np.eye(x.shape[1])
    penalty[0, 0] = 1e-9
    return np.asarray(np.linalg.solve(x.T @ x + penalty, x.T @ rewards))


def _predict(ridge: Floats, queries: Floats) -> Floats:
    return np.asarray(_augmented(queries) @ ridge)


def _augmented(queries: Floats) -> Floats:
    return np.concatenate([np.ones((len(queries), 1)), queries], axis=1)


def _cross_fitted(queries: Floats, logged: Logged) -> Floats:
    """Predict each row by ridges, one a candidate, of the other folds' rows (the direct method)."""
    predicted = np.zeros((len(logged), CANDIDATES))
    fold_of = np.arange(len(logged)) % _FOLDS
    for fold in range(_FOLDS):
        held_out = fold_of == fold
        for candidate in range(CANDIDATES):
            rows = ~held_out & (logged.actions == candidate)
            ridge = _ridge(queries[rows], logged.rewards[rows])
            predicted[held_out, candidate] = _predict(ridge, queries[held_out])
    return predicted


def _one_hot(columns: NDArray[np.intp]) -> Floats:
    return np.eye(CANDIDATES)[columns]
