"""Data sets with a known truth, to hold routers and gates to it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.dataset import Dataset, Matrix
from training.sample import Sample

DIMS, TOPICS = 8, 4


@dataclass(frozen=True, slots=True)
class World:
    """Queries of four topics, and each candidate's chance of a right answer."""

    data: Dataset
    sample: Sample
    chances: Matrix
    """(rows, candidates)"""


def world(
    rows: int,
    *,
    specialist: float = 0.3,
    seed: int = 0,
    prices: tuple[float, ...] = (),
    datasets: int = 1,
) -> World:
    """Return a world where the last of three candidates is best on the whole.

    Args:
        rows: how many queries.
        specialist: by how much the first candidate beats the best one on one topic; 0 for nothing
            to learn.
        seed: decides everything.
        prices: USD of a call by candidate; none for nothing known of money.
        datasets: how many names the rows are spread over.
    """
    rng = np.random.default_rng(seed)
    topics = rng.integers(TOPICS, size=rows)
    centres = np.eye(TOPICS, DIMS)
    points = centres[topics] + rng.normal(scale=0.15, size=(rows, DIMS))
    embeddings = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    chances = np.tile([0.4, 0.45, 0.55], (rows, 1))
    if specialist:
        chances[topics == 0, 0] = 0.55 + specialist
    rewards = (rng.uniform(size=chances.shape) < chances).astype(np.float64)
    costs = np.tile(prices, (rows, 1)) if prices else np.full(rewards.shape, np.nan)
    data = Dataset(
        texts=tuple(f"query {n}" for n in range(rows)),
        candidates=("ant", "bee", "cat"),
        rewards=rewards,
        cost_usd=costs,
        output_tokens=np.full(rewards.shape, np.nan),
        datasets=np.array([f"set {n % datasets}" for n in range(rows)]),
        splits=np.array(["train"] * rows),
        sha256="planted",
    )
    labels: NDArray[np.intp] = embeddings[:, :TOPICS].argmax(axis=1)
    return World(data, Sample(embeddings, rewards, labels, TOPICS, np.ones(rows)), chances)


def logged(one: World, *, explore: float = 0.4, seed: int = 0) -> World:
    """Return the world as a router's own log: one candidate a row was asked and scored.

    The last candidate was asked, but for a share of the rows where one was drawn evenly.
    """
    rng = np.random.default_rng(seed)
    rows, candidates = one.data.rewards.shape
    probabilities = np.full(candidates, explore / candidates)
    probabilities[-1] += 1.0 - explore
    decided = np.asarray(rng.choice(candidates, size=rows, p=probabilities), np.intp)
    rewards = np.full((rows, candidates), np.nan)
    rewards[np.arange(rows), decided] = one.data.rewards[np.arange(rows), decided]
    data = replace(one.data, rewards=rewards, decided=decided, propensities=probabilities[decided])
    return World(data, replace(one.sample, rewards=rewards), one.chances)
