"""The one command line, `regroup`."""

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from regroup.adapters.bedrock import BedrockChatModel
from regroup.adapters.object_store import open_object
from regroup.artifact import Manifest
from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Catalog
from regroup.errors import ArtifactNotFoundError, DataError, RegroupError
from training.collect import Budget, Collector, estimate_usd, read_questions, write_rows
from training.dataset import read_dataset
from training.embeddings import Progress as Report
from training.encoder import export_encoder, find_encoder, resolve_source, settings_of
from training.encoder_choice import encoder_for
from training.prompts import generate, is_correct, write_prompts
from training.publish import publish, status
from training.train import Options, train

BUILD = Path("build")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()
errors = Console(stderr=True)


def main() -> None:
    """Run the command line; an expected error is one line on stderr and status 1."""
    try:
        app()
    except (RegroupError, OSError) as error:
        message = " ".join(f"regroup: {error}".split())
        errors.print(message, style="red", highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(1) from error


@app.command(name="encoder")
def encoder_command(
    source: Annotated[
        str, typer.Option(help="'minilm', 'e5-small', a folder, or a name on the model hub.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    pooling: Annotated[
        Literal["mean", "cls"] | None,
        typer.Option(help="How tokens become one vector. Default: as its makers say, else mean."),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Put before every text. Default: as its makers say.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=8, help="Longer texts are cut here. Default: 256.")
    ] = None,
) -> None:
    """Build the ONNX encoder of a BERT-family model, in int8."""
    settings = settings_of(source, pooling=pooling, prefix=prefix, max_tokens=max_tokens)
    spec = export_encoder(resolve_source(source), out, **settings)
    size_mb = (out / "encoder.onnx").stat().st_size / 1e6
    console.print(f"{spec.name}: {spec.dims} dims, {size_mb:.1f} MB int8, in {out}")


@app.command(name="train")
def train_command(
    data: Annotated[Path, typer.Option(help="Labelled data: jsonl, jsonl.gz or parquet.")],
    out: Annotated[Path, typer.Option(help="Folder to write the artifact to.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="'minilm', 'e5-small' (reads Japanese), or a folder `encoder` wrote. "
            "Default: e5-small where the data holds Japanese, else minilm."
        ),
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog file; its prices calibrate the presets.")
    ] = None,
    average: Annotated[
        Literal["rows", "datasets"], typer.Option(help="What counts alike in every mean.")
    ] = "rows",
    split: Annotated[str | None, typer.Option(help="Use only the rows of this split.")] = None,
    n_clusters: Annotated[int | None, typer.Option(help="Default: 8 to 16 by silhouette.")] = None,
    seed: Annotated[int, typer.Option(help="Decides folds and starting points.")] = 0,
) -> None:
    """Train a router on labelled data and write its artifact."""
    rows = read_dataset(data)
    if split is not None:
        rows = rows.split(split)
    options = Options(
        average=average,
        seed=seed,
        n_clusters=n_clusters,
        catalog=None if catalog is None else _catalog(catalog),
    )
    with _progress("embedding") as report:
        trained = train(
            rows,
            find_encoder(encoder or encoder_for(rows.texts), BUILD / "encoder"),
            out,
            options=options,
            cache_folder=BUILD / "cache",
            progress=report,
        )
    console.print(_summary(trained.manifest))
    console.print(f"artifact {trained.digest} in {out}", soft_wrap=True)
    console.print(trained.manifest.verdict.sentence, style="bold", highlight=False, soft_wrap=True)


@app.command(name="prompts")
def prompts_command(
    n: Annotated[int, typer.Option("--n", min=1, help="How many prompts.")],
    out: Annotated[Path, typer.Option(help="File to write: one JSON line per prompt.")],
    language: Annotated[str, typer.Option(help="'en', 'ja', or both with a comma.")] = "en,ja",
    category: Annotated[str | None, typer.Option(help="With commas. Default: all.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same prompts.")] = 0,
) -> None:
    """Write prompts with known answers, balanced over categories and languages."""
    prompts = generate(n, _names(language), seed, None if category is None else _names(category))
    write_prompts(out, prompts)
    kinds = len({prompt.category for prompt in prompts})
    console.print(f"{len(prompts)} prompts of {kinds} categories in {out}", soft_wrap=True)


@app.command(name="collect")
def collect_command(
    prompts: Annotated[Path, typer.Option(help="Prompts with known answers, as `prompts` writes.")],
    catalog: Annotated[Path, typer.Option(help="Catalog file: who is asked, at what price.")],
    out: Annotated[Path, typer.Option(help="File of labelled data to write.")],
    budget_usd: Annotated[float, typer.Option(min=0.0, help="Hard cap on what the calls cost.")],
) -> None:
    """Ask every candidate every prompt on Bedrock, score the answers, write labelled data."""
    questions, candidates = read_questions(prompts), _catalog(catalog)
    most = estimate_usd(questions, candidates)
    console.print(f"{len(questions)} prompts x {len(candidates.names)} candidates, at most")
    console.print(f"{most:.4f} USD, cap {budget_usd:.4f} USD", highlight=False)
    collector = Collector(
        chat_model=BedrockChatModel(),
        score=is_correct,
        budget=Budget(budget_usd),
        sleep=time.sleep,
    )
    with _progress("asking") as report:
        collected = collector.collect(questions, candidates, progress=report)
    why = ", ".join(f"{cause} ({count} x)" for cause, count in sorted(collected.causes.items()))
    if collected.failures == len(questions) * len(candidates.names):
        raise DataError(
            f"no candidate answered anything: {why}; nothing was written. "
            "Where it says denied, check credentials, region and model access"
        )
    write_rows(collected.rows, out)
    console.print(f"spent {collected.spent_usd:.4f} USD; {out} written", soft_wrap=True)
    console.print(f"{collected.failures} answers failed, {collected.over_budget} not asked for")
    if why:
        console.print(why, highlight=False, markup=False, soft_wrap=True)


@app.command(name="publish")
def publish_command(
    artifact: Annotated[Path, typer.Option(help="Folder that `train` wrote.")],
    to: Annotated[str, typer.Option(help="The pointer: s3://bucket/prefix/pointer.json or file:.")],
    why: Annotated[str, typer.Option(help="Goes into the pointer.")],
    who: Annotated[str | None, typer.Option(help="Goes into the pointer. Default: you.")] = None,
) -> None:
    """Make an artifact the live router."""
    store, key = open_object(to)
    pointer = publish(artifact, store, key, who=who or getpass.getuser(), why=why)
    console.print(f"live: {pointer.champion}", soft_wrap=True)
    console.print(f"before: {pointer.previous or 'nothing'}", soft_wrap=True)


@app.command(name="status")
def status_command(
    pointer: Annotated[str, typer.Option(help="s3://bucket/prefix/pointer.json or file:.")],
) -> None:
    """Show which router is live, and what was measured of it."""
    store, key = open_object(pointer)
    try:
        live = status(store, key)
    except ArtifactNotFoundError as error:
        console.print(f"no router is live: {error}", highlight=False, markup=False, soft_wrap=True)
        return
    console.print(f"live: {live.pointer.champion}", soft_wrap=True)
    console.print(f"before: {live.pointer.previous or 'nothing'}", soft_wrap=True)
    console.print(f"by {live.pointer.who}: {live.pointer.why}", highlight=False, markup=False)
    console.print(_summary(live.manifest))
    console.print(live.manifest.verdict.sentence, style="bold", highlight=False, soft_wrap=True)


def _summary(manifest: Manifest) -> Table:
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


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",")]


@contextmanager
def _progress(label: str) -> Iterator[Report]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=errors, transient=True) as bar:
        task = bar.add_task(label, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report


def _catalog(path: Path) -> Catalog:
    try:
        return read_catalog(path.read_bytes(), place=str(path))
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read") from error


if __name__ == "__main__":
    main()
