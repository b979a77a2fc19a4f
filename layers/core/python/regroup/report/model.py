"""What a report says, in plain values. Values that are not finite are left out of the plots."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows; the first column names the row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate or a preset by what it costs and earns."""

    label: str
    cost_usd: float
    """USD per 1,000 queries"""
    reward: float
    """mean over queries, 0 to 1"""


@dataclass(frozen=True, slots=True)
class Frontier:
    """Reward against cost; every cost is in USD per 1,000 queries."""

    points: Sequence[Point]
    """the single candidates"""
    curve: Sequence[tuple[float, float]]
    """(cost, reward) of the router at every cost weight"""
    blind: Sequence[tuple[float, float]]
    """(cost, reward) corners of what mixing candidates by chance reaches"""
    presets: Sequence[Point] = ()


@dataclass(frozen=True, slots=True)
class ClusterMap:
    """Queries in two dimensions, by cluster."""

    points: Sequence[tuple[float, float, int]]
    """(x, y, cluster); of more than a plot can show, evenly spaced ones are drawn"""
    labels: Sequence[str]
    """top terms by cluster"""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far predictions come true."""

    curve: Sequence[tuple[float, float, int]]
    """(mean prediction, mean outcome, rows) by bin"""
    expected_calibration_error: float
    title: str
    x_label: str = "Predicted probability (0 to 1)"
    y_label: str = "Realised share (0 to 1)"


@dataclass(frozen=True, slots=True)
class RegretByCluster:
    """Reward per query that a choice leaves behind, by cluster."""

    bars: Sequence[tuple[str, float, float]]
    """(label, regret of the router, regret of the best single candidate)"""


@dataclass(frozen=True, slots=True)
class Curve:
    """Lines with the interval around them, such as a learning curve."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[tuple[str, Sequence[tuple[float, float, float, float]]]]
    """(name, points), each point (x, y, low end, high end)"""
    log_x: bool = False
    """Draw x by its logarithm where every x is above zero."""
    caption: str = "Each line is a mean, the band around it its interval."


@dataclass(frozen=True, slots=True)
class Report:
    """A router's evaluation; what is None or empty is left out of the page."""

    title: str
    made_at: str
    verdict: str
    """one sentence"""
    route: bool
    facts: Sequence[tuple[str, str]] = ()
    """(name, value): data, rows, encoder, router, seed, digest and the like"""
    tables: Sequence[Table] = ()
    """the first stands right under the verdict, the others after the plots"""
    frontier: Frontier | None = None
    clusters: ClusterMap | None = None
    regret: RegretByCluster | None = None
    reliability: Sequence[Reliability] = ()
    curves: Sequence[Curve] = ()
