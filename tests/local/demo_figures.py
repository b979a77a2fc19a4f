"""What the demo's table says, computed from what was asked and answered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.frontier import at_cost

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answers:
    """Every candidate's reward and cost on the unseen prompts, beside the router's own."""

    candidates: tuple[str, ...]
    rewards: Floats
    """(prompts, candidates)"""
    costs_usd: Floats
    """(prompts, candidates)"""
    router_rewards: Floats
    """(prompts,)"""
    router_costs_usd: Floats
    """(prompts,)"""

    def take(self, rows: NDArray[np.bool_]) -> "Answers":
        """Return the prompts of a mask."""
        return Answers(
            self.candidates,
            self.rewards[rows],
            self.costs_usd[rows],
            self.router_rewards[rows],
            self.router_costs_usd[rows],
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: mean reward, and cost of all prompts."""

    name: str
    reward: float
    cost_usd: float


def table_lines(answers: Answers, *, best_single: str, cheapest: str) -> list[Line]:
    """Return the router and what it is compared with.

    Args:
        answers: on the unseen prompts.
        best_single: the candidate of the highest mean reward in training.
        cheapest: the candidate of the lowest mean cost in training.
    """
    prompts = len(answers.rewards)
    rows = np.arange(prompts)

    def always(name: str, label: str) -> Line:
        column = answers.candidates.index(name)
        return Line(
            f"{label} ({name})",
            float(answers.rewards[:, column].mean()),
            float(answers.costs_usd[:, column].sum()),
        )

    # Of several right answers the oracle takes the cheapest.
    best = np.lexsort((answers.costs_usd, -answers.rewards), axis=1)[:, 0]
    router_cost = float(answers.router_costs_usd.sum())
    mix = at_cost(
        answers.costs_usd.mean(axis=0), answers.rewards.mean(axis=0), router_cost / prompts
    )
    return [
        Line("REGROUP", float(answers.router_rewards.mean()), router_cost),
        always(best_single, "always best single"),
        always(cheapest, "always cheapest"),
        Line("query-blind mix at the same cost", mix, router_cost),
        Line(
            "random",
            float(answers.rewards.mean()),
            float(answers.costs_usd.mean(axis=1).sum()),
        ),
        Line(
            "oracle",
            float(answers.rewards[rows, best].mean()),
            float(answers.costs_usd[rows, best].sum()),
        ),
    ]
