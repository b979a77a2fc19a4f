"""Turn an evaluation into the values of a report."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from regroup.report import (
    ClusterMap,
    Curve,
    Frontier,
    Point,
    RegretByCluster,
    Reliability,
    Report,
    Table,
)
from training import curves
from training.clusters import describe_clusters
from training.dataset import Matrix
from training.decide import taken
from training.evaluate import Evaluation, Line
from training.frontier import envelope
from training.intervals import Interval, paired_interval, row_weights
from training.policies import DEFAULT
from training.uncertainty import Reliability as Measured
from training.uncertainty import calibrate

MOST_DRAWN = 1_500
_PER_THOUSAND = 1_000.0


def report_of(evaluation: Evaluation, source: str, *, made_at: datetime) -> Report:
    """Return all that is said of an evaluation, curves included.

    Args:
        evaluation: what was measured.
        source: where the data came from.
        made_at: the time to print.
    """
    task, staged, clusters = evaluation.task, evaluation.staged, evaluation.clusters
    terms = [
        ", ".join(record.top_terms[:4]) or f"cluster {k}"
        for k, record in enumerate(
            describe_clusters(clusters, task.sample.embeddings, task.data.texts)
        )
    ]
    return Report(
        title=f"Routing evaluation: {source}",
        made_at=f"{made_at:%Y-%m-%d %H:%M} UTC",
        verdict=evaluation.verdict.sentence,
        route=evaluation.verdict.route,
        facts=(
            ("data", source),
            ("rows", f"{len(task.data):,}, of them {len(staged.rows):,} evaluated, held out"),
            ("candidates", ", ".join(task.data.candidates)),
            ("router", staged.selection.router),
            ("margin", f"{staged.selection.min_margin:g}"),
            ("clusters", f"{clusters.k} (silhouette {clusters.silhouette:.3f})"),
            ("every mean", f"of {task.average} alike"),
            ("seed", str(task.seed)),
            ("digest of the data", task.data.sha256),
        ),
        tables=tuple(_tables(evaluation, terms)),
        frontier=_frontier(evaluation),
        clusters=_map(task.sample.embeddings, task.sample.labels, terms),
        regret=_regret(evaluation, terms),
        reliability=tuple(_reliability(evaluation)),
        curves=tuple(_curves(evaluation)),
    )


def _tables(evaluation: Evaluation, terms: Sequence[str]) -> list[Table]:
    priced = evaluation.staged.scenes[0].costs.paid.any()
    columns = ["policy", "reward", "gain", "95 % interval", "regret", "accuracy"]
    columns += ["USD per 1,000"] if priced else []
    tables = [
        Table(
            "Policies, in points of reward",
            columns,
            [_policy(line, priced=bool(priced)) for line in evaluation.lines],
            note="Gain is over the best single candidate, paired by query. Accuracy is the share "
            "of queries where no candidate's answer is better.",
        ),
        _gains("By data set", _groups(evaluation, evaluation.task.data.datasets)),
        _gains("By cluster", _groups(evaluation, np.array(terms)[evaluation.task.sample.labels])),
    ]
    if evaluation.trades:
        tables.append(_trades(evaluation))
    return tables


def _policy(line: Line, *, priced: bool) -> list[str]:
    gain = line.gain
    cells = [line.name, _points(line.reward), _points(gain.mean), _ends(gain)]
    cells += [_points(line.regret), f"{line.accuracy:.1%}"]
    return [*cells, f"{_PER_THOUSAND * line.cost_usd:.3f}"] if priced else cells


def _trades(evaluation: Evaluation) -> Table:
    rows = []
    for name, trade in evaluation.trades.items():
        above = trade.above_blind
        shares = ["never" if np.isnan(share) else f"{share:.0%}" for share in trade.cost_shares]
        ends = f"{above.low:z.3f} to {above.high:z.3f}"
        rows.append([name, f"{trade.area:.3f}", f"{above.mean:z.3f}", ends, *shares])
    columns = ["router", "AIQ", "above blind mixes", "95 % interval", "at 100 %", "98 %", "95 %"]
    note = (
        "AIQ is the mean reward on the frontier between the cheapest and the dearest candidate. "
        "The last columns are the least cost that keeps that much of the best single candidate's "
        "reward, as a share of its cost."
    )
    return Table("Between reward and cost", columns, rows, note)


def _groups(evaluation: Evaluation, names: NDArray[np.str_]) -> dict[str, tuple[int, Interval]]:
    """Return rows and gain of the router by group of the evaluated rows."""
    staged = evaluation.staged
    gains = np.mean(
        [
            taken(scene.rewards, scene.routed) - taken(scene.rewards, scene.learned.best_single)
            for scene in staged.scenes
        ],
        axis=0,
    )
    own = names[staged.rows]
    seed = evaluation.task.seed
    return {
        str(name): (
            int((own == name).sum()),
            paired_interval(gains[own == name], own[own == name], "rows", seed=seed),
        )
        for name in np.unique(own)
    }


def _gains(title: str, groups: dict[str, tuple[int, Interval]]) -> Table:
    rows = [[name, f"{n:,}", _points(gain.mean), _ends(gain)] for name, (n, gain) in groups.items()]
    return Table(title, ["group", "queries", "gain", "95 % interval"], rows)


def _frontier(evaluation: Evaluation) -> Frontier | None:
    scene, selection = evaluation.staged.scenes[0], evaluation.staged.selection
    trade = evaluation.trades.get(selection.router)
    if trade is None:
        return None
    weights = row_weights(scene.datasets, evaluation.task.average)
    rewards, costs = weights @ scene.rewards, weights @ scene.costs.paid
    blind = envelope(costs, rewards)
    presets = [
        Point(line.name.removeprefix(f"{DEFAULT}, "), _PER_THOUSAND * line.cost_usd, line.reward)
        for line in evaluation.lines
        if line.name.startswith(f"{DEFAULT}, ")
    ]
    names = evaluation.task.data.candidates
    return Frontier(
        points=[
            Point(name, _PER_THOUSAND * float(cost), float(reward))
            for name, cost, reward in zip(names, costs, rewards, strict=True)
        ],
        curve=_pairs(_PER_THOUSAND * trade.costs, trade.rewards),
        blind=_pairs(_PER_THOUSAND * blind[0], blind[1]),
        presets=presets,
    )


def _map(
    embeddings: NDArray[np.float32], labels: NDArray[np.intp], terms: Sequence[str]
) -> ClusterMap:
    """Return the queries on the two leading directions of their spread."""
    rows = np.linspace(0, len(labels) - 1, min(MOST_DRAWN, len(labels))).astype(int)
    points = embeddings[rows].astype(np.float64)
    points -= points.mean(axis=0)
    _, directions = np.linalg.eigh(points.T @ points)
    flat = points @ directions[:, :-3:-1]
    return ClusterMap(
        [(float(x), float(y), int(k)) for (x, y), k in zip(flat, labels[rows], strict=True)], terms
    )


def _regret(evaluation: Evaluation, terms: Sequence[str]) -> RegretByCluster:
    scene = evaluation.staged.scenes[0]
    top = scene.rewards.max(axis=1)
    router = top - taken(scene.rewards, scene.routed)
    single = top - taken(scene.rewards, scene.learned.best_single)
    return RegretByCluster(
        [
            (
                terms[k],
                float(router[scene.labels == k].mean()),
                float(single[scene.labels == k].mean()),
            )
            for k in np.unique(scene.labels)
        ]
    )


def _reliability(evaluation: Evaluation) -> list[Reliability]:
    selection = evaluation.staged.selection
    found = calibrate(
        evaluation.staged.comparison, selection.router, min_margin=selection.min_margin
    )
    if found is None:
        return []
    plots = [_plot(found.best, "Probability that the chosen candidate is among the best")]
    if found.gain.curve:
        plots.append(
            _plot(
                found.gain,
                "Gain over the best single candidate",
                x_label="Predicted gain, calibrated (reward)",
                y_label="Realised gain (reward)",
            )
        )
    return plots


def _plot(measured: Measured, title: str, **labels: str) -> Reliability:
    return Reliability(measured.curve, measured.expected_calibration_error, title, **labels)


def _curves(evaluation: Evaluation) -> list[Curve]:
    task, staged = evaluation.task, evaluation.staged
    ground = curves.ground_of(task, staged.rows)
    series = {
        "every candidate scored, gate included": curves.learning_curve(task, ground),
        "one candidate scored a row, no gate": curves.bandit_curve(
            task, ground, curves.closed_form_or(staged.selection.router)
        ),
    }
    lines = [
        (name, [(float(p.rows), *_as_points(p.gain)) for p in points])
        for name, points in series.items()
        if points
    ]
    if not lines:
        return []
    return [
        Curve(
            "Gain by number of labelled rows",
            "Rows learned from",
            "Gain over the best single candidate (points)",
            lines,
            log_x=True,
            caption="The gain on rows held out, with its 95 % interval, over the best single "
            "candidate by all rows: few rows may also name the wrong one.",
        )
    ]


def _as_points(gain: Interval) -> tuple[float, float, float]:
    return (100 * gain.mean, 100 * gain.low, 100 * gain.high)


def _points(value: float) -> str:
    return f"{100 * value:z.2f}"


def _ends(interval: Interval) -> str:
    return f"{_points(interval.low)} to {_points(interval.high)}"


def _pairs(x: Matrix, y: Matrix) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
