"""Tables for the command line."""

from rich.table import Table

from regroup.artifact import Manifest
from training.evaluate import Evaluation


def artifact_table(manifest: Manifest) -> Table:
    """Return what an artifact is, and what its presets keep."""
    table = Table(show_header=False, box=None)
    table.add_row("router", manifest.router)
    table.add_row("encoder", f"{manifest.encoder.name}, {manifest.encoder.dims} dims")
    table.add_row("clusters", f"{manifest.n_clusters} (silhouette {manifest.silhouette:.3f})")
    table.add_row("candidates", ", ".join(manifest.candidates))
    table.add_row("default", manifest.default_candidate)
    for name, preset in manifest.presets.items():
        shares = (("reward", preset.reward_share), ("cost", preset.cost_share))
        kept = ", ".join(f"{what} {share:.1%}" for what, share in shares if share is not None)
        table.add_row(name, f"cost weight {preset.cost_weight:.4g} ({kept} of the best single)")
    return table


def policy_table(evaluation: Evaluation) -> Table:
    """Return every policy in points of reward, with its cost of a thousand queries in USD."""
    priced = bool(evaluation.trades)
    table = Table(f"{len(evaluation.staged.rows)} queries held out", box=None, pad_edge=False)
    columns = ("reward", "gain", "95 % interval", "regret", "accuracy")
    for column in (*columns, *(("USD/1,000",) if priced else ())):
        table.add_column(column, justify="right", no_wrap=True)
    for line in evaluation.lines:
        gain = line.gain
        cells = [
            f"{100 * line.reward:.2f}",
            f"{100 * gain.mean:z.2f}",
            f"{100 * gain.low:z.2f} to {100 * gain.high:z.2f}",
            f"{100 * line.regret:z.2f}",
            f"{line.accuracy:.1%}",
        ]
        if priced:
            cells.append(f"{1000 * line.cost_usd:.3f}")
        table.add_row(line.name, *cells)
    return table
