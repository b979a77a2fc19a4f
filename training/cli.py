"""The one command line, `regroup`."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from regroup.adapters.bedrock import BedrockChatModel
from regroup.adapters.object_store import open_object
from regroup.domain.catalog import Catalog
from regroup.errors import DataError, RegroupError
from regroup.report import render
from training.bootstrap_cli import BUILD, bootstrap_app
from training.catalogs import catalog_at, names_in
from training.collect import Budget, Collector, estimate_usd, read_questions, write_rows
from training.comparison import routers_named
from training.cost_cli import cost_command
from training.dataset import read_dataset
from training.doctor_cli import doctor_app
from training.encoder import export_encoder, find_encoder, resolve_source, settings_of
from training.encoder_choice import encoder_for
from training.evaluate import evaluate, metrics
from training.keys_cli import keys_app
from training.prepare import Options, embed_queries
from training.progress_bar import progress_bar
from training.prompts import generate, is_correct, write_prompts
from training.release_cli import release_app
from training.report import report_of
from training.routers import AUTO, NOT_SERVED, ROUTERS
from training.smoke_cli import smoke_app
from training.tables import artifact_table, policy_table
from training.train import train
from training.watch_cli import watch_app

SERVED = [name for name in ROUTERS if name not in NOT_SERVED]

# Typer reads no `type` statements: it would show these options without help.
EncoderOption = Annotated[
    str | None,
    typer.Option(
        help="'minilm', 'e5-small' (reads Japanese), or a folder `encoder` wrote. "
        "Default: e5-small where the data holds Japanese, else minilm."
    ),
]
CatalogOption = Annotated[
    str | None,
    typer.Option(
        help="Catalog (a path, file:path or s3://bucket/key); its prices calibrate the presets."
    ),
]
RouterOption = Annotated[
    str,
    typer.Option(
        help="'auto' serves the best single model where routing does not pay; a name serves that "
        f"router in any case: {', '.join(SERVED)}."
    ),
]
AverageOption = Annotated[
    Literal["rows", "datasets"], typer.Option(help="What counts alike in every mean.")
]
ClustersOption = Annotated[int | None, typer.Option(help="Default: 8 to 16 by silhouette.")]
SeedOption = Annotated[int, typer.Option(help="Decides folds and starting points.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(release_app)
app.add_typer(doctor_app)
app.add_typer(bootstrap_app)
app.add_typer(smoke_app)
app.add_typer(watch_app)
app.add_typer(keys_app, name="keys")
app.command(name="cost")(cost_command)
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
    encoder: EncoderOption = None,
    catalog: CatalogOption = None,
    router: RouterOption = AUTO,
    champion: Annotated[
        str | None,
        typer.Option(help="Pointer of what is live, to compare with: s3://... or file:."),
    ] = None,
    average: AverageOption = "rows",
    split: Annotated[str | None, typer.Option(help="Use only the rows of this split.")] = None,
    n_clusters: ClustersOption = None,
    seed: SeedOption = 0,
) -> None:
    """Train a router on labelled data and write its artifact."""
    rows = read_dataset(data)
    if split is not None:
        rows = rows.split(split)
    options = Options(
        router=router,
        average=average,
        seed=seed,
        n_clusters=n_clusters,
        catalog=_catalog_of(catalog),
    )
    with progress_bar("embedding") as report:
        trained = train(
            rows,
            find_encoder(encoder or encoder_for(rows.texts), BUILD / "encoder"),
            out,
            options=options,
            cache_folder=BUILD / "cache",
            champion=None if champion is None else open_object(champion),
            progress=report,
        )
    console.print(artifact_table(trained.manifest))
    console.print(f"artifact {trained.digest} in {out}", soft_wrap=True)
    console.print(trained.manifest.verdict.sentence, style="bold", highlight=False, soft_wrap=True)


@app.command(name="evaluate")
def evaluate_command(
    data: Annotated[Path, typer.Option(help="Labelled data: jsonl, jsonl.gz or parquet.")],
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file.")
    ] = None,
    html_out: Annotated[
        Path | None, typer.Option("--html", help="Write a report with plots to this file.")
    ] = None,
    encoder: EncoderOption = None,
    catalog: CatalogOption = None,
    router: RouterOption = AUTO,
    average: AverageOption = "rows",
    n_clusters: ClustersOption = None,
    seed: SeedOption = 0,
) -> None:
    """Compare routers with all that is simpler, on rows held out, and say whether routing pays.

    Rows of split test are predicted by those of split train, where there are both; else every row
    by the folds without it.
    """
    routers_named(router)  # a wrong name is told before minutes of embedding
    rows = read_dataset(data)
    options = Options(router, average, seed, n_clusters, _catalog_of(catalog))
    folder = find_encoder(encoder or encoder_for(rows.texts), BUILD / "encoder")
    with progress_bar("embedding") as report:
        embeddings = embed_queries(rows, folder, cache_folder=BUILD / "cache", progress=report)
    with console.status("comparing routers"):
        found = evaluate(rows, embeddings, options)
    if left_out := set(rows.candidates) - set(found.task.data.candidates):
        names = ", ".join(sorted(left_out))
        console.print(f"left out, scored on too few rows to compare: {names}", soft_wrap=True)
    console.print(policy_table(found))
    console.print(found.verdict.sentence, style="bold", highlight=False, soft_wrap=True)
    if json_out is not None:
        _write(json_out, json.dumps(metrics(found), indent=1, ensure_ascii=False) + "\n")
    if html_out is not None:
        with console.status("learning curves"):
            page = render(report_of(found, str(data), made_at=datetime.now(UTC)))
        _write(html_out, page)


@app.command(name="prompts")
def prompts_command(
    n: Annotated[int, typer.Option("--n", min=1, help="How many prompts.")],
    out: Annotated[Path, typer.Option(help="File to write: one JSON line per prompt.")],
    language: Annotated[str, typer.Option(help="'en', 'ja', or both with a comma.")] = "en,ja",
    category: Annotated[str | None, typer.Option(help="With commas. Default: all.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same prompts.")] = 0,
) -> None:
    """Write prompts with known answers, balanced over categories and languages."""
    prompts = generate(
        n, names_in(language), seed, None if category is None else names_in(category)
    )
    write_prompts(out, prompts)
    kinds = len({prompt.category for prompt in prompts})
    console.print(f"{len(prompts)} prompts of {kinds} categories in {out}", soft_wrap=True)


@app.command(name="collect")
def collect_command(
    prompts: Annotated[Path, typer.Option(help="Prompts with known answers, as `prompts` writes.")],
    catalog: Annotated[
        str,
        typer.Option(
            help="Who is asked, at what price: a catalog's path, file:path or s3://bucket/key."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File of labelled data to write.")],
    budget_usd: Annotated[float, typer.Option(min=0.0, help="Hard cap on what the calls cost.")],
) -> None:
    """Ask every candidate every prompt on Bedrock, score the answers, write labelled data."""
    questions, candidates = read_questions(prompts), catalog_at(catalog)
    most = estimate_usd(questions, candidates)
    console.print(f"{len(questions)} prompts x {len(candidates.names)} candidates, at most")
    console.print(f"{most:.4f} USD, cap {budget_usd:.4f} USD", highlight=False)
    collector = Collector(
        chat_model=BedrockChatModel(),
        score=is_correct,
        budget=Budget(budget_usd),
        sleep=time.sleep,
    )
    with progress_bar("asking") as report:
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


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    console.print(f"{path} written", soft_wrap=True)


def _catalog_of(place: str | None) -> Catalog | None:
    return None if place is None else catalog_at(place)


if __name__ == "__main__":
    main()
