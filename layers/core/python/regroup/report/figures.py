"""The plots of a report: what each draws, and the sentence that says how to read it."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from regroup.report.axis import Axis, linear, logarithmic, plain
from regroup.report.model import (
    ClusterMap,
    Curve,
    Frontier,
    Point,
    RegretByCluster,
    Reliability,
    Report,
    Table,
)
from regroup.report.plot import Layer, Mark, draw, draw_bars
from regroup.report.text import shorten

COLOURS = 8
"""c1 to c8 of the stylesheet."""
MOST_POINTS = 1_500
"""Of a cluster map."""

_WIDE = 30.0
"""Costs that differ more than this many times are drawn by their logarithm."""
_LABEL_COLUMNS = 16
_BAR_COLUMNS = 19

type Key = tuple[str, str, str]
"""(mark, class, text) of a line of a legend"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with all that stands around it."""

    title: str
    svg: str
    caption: str
    legend: Sequence[Key] = ()
    numbers: Table | None = None


def figures(report: Report) -> Iterator[Figure]:
    """Yield the plots of a report in reading order, without those that have nothing to show."""
    if report.frontier is not None:
        yield from _frontier(report.frontier)
    if report.clusters is not None:
        yield from _cluster_map(report.clusters)
    if report.regret is not None:
        yield from _regret(report.regret)
    for one in report.reliability:
        yield from _reliability(one)
    for curve in report.curves:
        yield from _curve(curve)


def _frontier(frontier: Frontier) -> Iterator[Figure]:
    models, presets = _known_points(frontier.points), _known_points(frontier.presets)
    curve, blind = _known(frontier.curve), _known(frontier.blind)
    costs = [cost for cost, _ in (*curve, *blind)] + [one.cost_usd for one in (*models, *presets)]
    rewards = [up for _, up in (*curve, *blind)] + [one.reward for one in (*models, *presets)]
    if not costs:
        return
    log = min(costs) > 0 and max(costs) > _WIDE * min(costs)
    x = (logarithmic if log else linear)("Cost (USD per 1,000 queries)", costs)
    y = linear("Mean reward (0 to 1)", rewards)
    layers, legend = [], []
    if len(blind) > 1:
        layers.append(Layer("line", "c0 s1", _bent(blind, x)))
        legend.append(("line", "c0 s1", "candidates mixed by chance"))
    if len(curve) > 1:
        layers.append(Layer("line", "c1", _bent(curve, x)))
        legend.append(("line", "c1", "the router at every cost weight"))
    ranked = sorted(models, key=lambda one: -one.reward)
    marks: tuple[tuple[list[Point], Mark, str, str], ...] = (
        (ranked, "dot", "c8", "a single candidate"),
        (presets, "diamond", "c2", "a preset of the router"),
    )
    for points, mark, style, name in marks:
        if points:
            layers.append(_named(points, mark, style))
            legend.append((mark, style, name))
    said = [
        f"{shorten(one.label, 40)} earns {one.reward:.3f} at {plain(one.cost_usd)} USD"
        for one in (*ranked[:5], *presets)
    ]
    yield Figure(
        title="Reward against cost",
        svg=draw(
            layers,
            x,
            y,
            description=_described("Mean reward against cost per 1,000 queries", said),
            height=330,
        ),
        caption="Up and to the left is better: where the router's line runs above the dashed one,"
        " reading the query earns more than chance does for the same money."
        + (" The cost axis is logarithmic." if log else ""),
        legend=legend,
        numbers=Table(
            "Reward against cost",
            ("", "USD per 1,000 queries", "mean reward"),
            [(one.label, plain(one.cost_usd), f"{one.reward:.3f}") for one in (*presets, *ranked)],
        ),
    )


def _named(points: Sequence[Point], mark: Mark, style: str) -> Layer:
    return Layer(
        mark,
        style,
        [(one.cost_usd, one.reward) for one in points],
        tips=[f"{one.label}: {one.reward:.3f} at {plain(one.cost_usd)} USD" for one in points],
        labels=[shorten(one.label, _LABEL_COLUMNS) for one in points],
    )


def _cluster_map(clusters: ClusterMap) -> Iterator[Figure]:
    known = [(x, y, at) for x, y, at in clusters.points if math.isfinite(x) and math.isfinite(y)]
    if not known:
        return
    shown = known[:: math.ceil(len(known) / MOST_POINTS)]
    layers, legend, names, places = [], [], [], []
    for cluster in sorted({at for _, _, at in known}):
        points = [(x, y) for x, y, at in shown if at == cluster]
        # Two marks for each colour: with the numbers written in, 16 clusters can be told apart.
        mark: Mark = "ring" if cluster // COLOURS % 2 else "dot"
        style = f"c{cluster % COLOURS + 1} small"
        layers.append(Layer(mark, style, points, radii=[2.6] * len(points)))
        terms = clusters.labels[cluster] if cluster < len(clusters.labels) else ""
        legend.append((mark, style, f"{cluster}: {terms}" if terms else str(cluster)))
        if points:
            names.append(str(cluster))
            places.append((median(x for x, _ in points), median(y for _, y in points)))
    layers.append(Layer("name", "c8", places, labels=names))
    x, y = (
        _bare_axis(f"Projection {way} (no unit)", [one[at] for one in shown])
        for at, way in enumerate(("1", "2"))
    )
    said = [f"cluster {shorten(text, 60)}" for _, _, text in legend]
    yield Figure(
        title="Clusters of queries",
        svg=draw(
            layers,
            x,
            y,
            description=_described(f"{len(shown)} queries in two dimensions", said),
            height=330,
        ),
        caption="Each mark is a query, its cluster's number stands in the middle of it: near marks"
        " are alike in meaning, and clusters that overlap here may still differ in what the"
        " projection leaves out.",
        legend=legend,
    )


def _regret(regret: RegretByCluster) -> Iterator[Figure]:
    bars = [one for one in regret.bars if math.isfinite(one[1]) and math.isfinite(one[2])]
    if not bars:
        return
    router, single = [one[1] for one in bars], [one[2] for one in bars]
    said = [f"{shorten(name, 40)}: {ours:.3f} against {theirs:.3f}" for name, ours, theirs in bars]
    yield Figure(
        title="Regret by cluster",
        svg=draw_bars(
            [shorten(name, _BAR_COLUMNS) for name, _, _ in bars],
            [("c1", router), ("c6", single)],
            linear("Mean regret (reward per query)", [0.0, *router, *single]),
            description=_described(
                "Mean regret of the router against the best single candidate", said
            ),
        ),
        caption="Regret is the reward that a perfect choice would add: where the router's bar is"
        " the shorter one, routing helps that cluster.",
        legend=[("bar", "c1", "the router"), ("bar", "c6", "the best single candidate")],
        numbers=Table(
            "Regret by cluster",
            ("cluster", "router", "best single candidate"),
            [(name, f"{ours:.4f}", f"{theirs:.4f}") for name, ours, theirs in bars],
        ),
    )


def _reliability(one: Reliability) -> Iterator[Figure]:
    bins = [
        (predicted, realised, rows)
        for predicted, realised, rows in one.curve
        if math.isfinite(predicted) and math.isfinite(realised)
    ]
    if not bins:
        return
    points = [(predicted, realised) for predicted, realised, _ in bins]
    both = [value for point in points for value in point]
    x, y = linear(one.x_label, both), linear(one.y_label, both)
    most = max(rows for _, _, rows in bins) or 1
    layers = [
        Layer("line", "c0 s1", [(x.low, x.low), (x.high, x.high)]),
        Layer("line", "c1", points),
        Layer(
            "dot",
            "c1",
            points,
            radii=[2.5 + 5.5 * math.sqrt(max(rows, 0) / most) for _, _, rows in bins],
            tips=[f"predicted {x:.3f}, realised {y:.3f}, {rows:,} rows" for x, y, rows in bins],
        ),
    ]
    error = one.expected_calibration_error
    known = f" Expected calibration error: {error:.3f}." if math.isfinite(error) else ""
    said = [f"{predicted:.3f} came out as {realised:.3f}" for predicted, realised, _ in bins]
    yield Figure(
        title=one.title,
        svg=draw(layers, x, y, description=_described(f"{one.title}.{known} Predicted", said)),
        caption="On the dashed line predictions come true on average; below it they promise too"
        f" much, and a larger dot stands for more rows.{known}",
        legend=[("line", "c0 s1", "as predicted"), ("dot", "c1", "what came of it")],
        numbers=Table(
            one.title,
            ("predicted", "realised", "rows"),
            [(f"{x:.4f}", f"{y:.4f}", f"{rows:,}") for x, y, rows in bins],
        ),
    )


def _curve(curve: Curve) -> Iterator[Figure]:
    series = [
        (name, [one for one in points if all(map(math.isfinite, one))])
        for name, points in curve.series
    ]
    series = [(name, sorted(points)) for name, points in series if points]
    if not series:
        return
    across = [one[0] for _, points in series for one in points]
    log = curve.log_x and min(across) > 0
    x = (logarithmic if log else linear)(curve.x_label, across)
    y = linear(curve.y_label, [up for _, points in series for one in points for up in one[1:]])
    bands, lines, legend, said = [], [], [], []
    for at, (name, points) in enumerate(series):
        style = f"c{at % COLOURS + 1} s{at % 4}"
        around = [(one[0], one[2]) for one in points] + [(one[0], one[3]) for one in points[::-1]]
        middle = [(one[0], one[1]) for one in points]
        bands.append(Layer("band", style, around))
        lines.append(Layer("line", style, middle))
        lines.append(Layer("dot", style, middle, radii=[3.0] * len(points)))
        legend.append(("line", style, name))
        last = points[-1]
        said.append(
            f"{shorten(name, 40)} ends at {plain(last[1])} ({plain(last[2])} to {plain(last[3])})"
        )
    yield Figure(
        title=curve.title,
        svg=draw(
            [*bands, *lines],
            x,
            y,
            description=_described(f"{curve.title}: {curve.y_label} by {curve.x_label}", said),
        ),
        caption=curve.caption + (" The horizontal axis is logarithmic." if log else ""),
        legend=legend,
        numbers=Table(
            curve.title,
            ("", curve.x_label, curve.y_label, "interval"),
            [
                (name, plain(at), plain(up), f"{plain(low)} to {plain(high)}")
                for name, points in series
                for at, up, low, high in points
            ],
        ),
    )


def _known(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    return sorted(one for one in points if all(map(math.isfinite, one)))


def _known_points(points: Iterable[Point]) -> list[Point]:
    return [one for one in points if math.isfinite(one.cost_usd) and math.isfinite(one.reward)]


def _bent(points: Sequence[tuple[float, float]], x: Axis) -> list[tuple[float, float]]:
    """Return the points of a line that is straight in the data, as it runs on the axis."""
    if not x.log:
        return list(points)
    steps = 12
    bent = [
        (a[0] + (b[0] - a[0]) * step / steps, a[1] + (b[1] - a[1]) * step / steps)
        for a, b in pairwise(points)
        for step in range(steps)
    ]
    return [*bent, points[-1]]


def _bare_axis(title: str, values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    pad = 0.02 * (high - low) or 1.0
    return Axis(title, low - pad, high + pad, ())


def _described(what: str, parts: Sequence[str]) -> str:
    return f"{what}: {'; '.join(parts)}." if parts else f"{what}."
