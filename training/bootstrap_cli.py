"""`regroup bootstrap`: from nothing to a first router that is live, under one hard cap."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from regroup.adapters.bedrock import BedrockChatModel
from regroup.artifact import Manifest
from regroup.domain.catalog import Catalog
from regroup.errors import DataError
from regroup.ports import ChatModel
from training.bootstrap import Plan, ask, check_writable, find_live, make_plan, release
from training.catalogs import catalog_at, names_in, only
from training.collect import Budget, Collected
from training.dataset import read_dataset
from training.doctor import Answered, examine
from training.doctor_cli import CandidatesOption, CatalogOption, show_findings
from training.encoder import find_encoder
from training.encoder_choice import encoder_for
from training.gate import FEWEST_TO_LEARN
from training.paid_rows import PaidRows, file_name
from training.prepare import Options
from training.progress_bar import progress_bar
from training.release_cli import RoleOption, ToOption, WhoOption, open_pointer
from training.tables import artifact_table
from training.train import train

BUILD = Path("build")

_INTERRUPTED = 130
"""The status of a command that Ctrl-C ended, as shells have it."""

bootstrap_app = typer.Typer()
console = Console()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the command asks of the world."""

    chat_model: Callable[[], ChatModel] = BedrockChatModel
    today: Callable[[], date] = lambda: datetime.now(UTC).date()
    sleep: Callable[[float], None] = time.sleep


@bootstrap_app.command(name="bootstrap")
def bootstrap_command(
    context: typer.Context,
    catalog: CatalogOption,
    to: ToOption,
    budget_usd: Annotated[
        float, typer.Option(min=0.0, help="Hard cap on what the answers cost, over all tries.")
    ],
    who: WhoOption,
    n: Annotated[
        int | None,
        typer.Option("--n", help="How many prompts. Default: what the cap is certain to pay for."),
    ] = None,
    language: Annotated[str, typer.Option(help="'en', 'ja', or both with a comma.")] = "ja,en",
    candidates: CandidatesOption = None,
    publisher_role: RoleOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the labelled data and the artifact.")] = (
        BUILD / "bootstrap"
    ),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before money is spent.")] = False,
    why: Annotated[str, typer.Option(help="Goes into the pointer.")] = (
        "the first router, learned from the bundled prompts"
    ),
) -> None:
    """Ask every candidate prompts with known answers, train on them, publish the first router.

    Where routing is not shown to pay, the best single candidate goes live.

    What was answered is kept: the same command goes on after an interruption.
    """
    workshop = context.ensure_object(Workshop)
    asked, languages = catalog_at(catalog), names_in(language)
    if candidates is not None:
        asked = only(asked, names_in(candidates))
    # All that can be wrong for free comes before all that costs.
    store, key = open_pointer(to, publisher_role)
    live = find_live(store, key)
    check_writable(store, key)
    plan = make_plan(asked, languages, budget_usd, n)
    paid = PaidRows(out / file_name(asked, languages), asked.names)
    encoder = find_encoder(
        encoder_for([question.text for question in plan.questions]), BUILD / "encoder"
    )
    _announce(plan, asked, paid, budget_usd, live)
    if not yes and not typer.confirm("Ask them now? (--yes does not ask this)"):
        raise typer.Exit(1)
    chat_model = workshop.chat_model()
    budget = Budget(budget_usd, spent_usd=paid.spent_usd + _look(asked, chat_model, workshop))
    with progress_bar("asking") as report:
        try:
            collected = ask(
                plan.questions,
                asked,
                paid,
                chat_model=chat_model,
                budget=budget,
                sleep=workshop.sleep,
                progress=report,
            )
        except KeyboardInterrupt:
            _say(f"interrupted: {len(paid)} prompts are kept in {paid.path}")
            _say("the same command goes on from there, under the same cap")
            raise typer.Exit(_INTERRUPTED) from None
    _check_enough(paid, collected)
    paid.settle(plan.questions)
    _say(f"spent {budget.spent_usd:.4f} USD; {paid.scored} prompts scored in {paid.path}")
    data = read_dataset(paid.path)
    if live is not None and live.data_sha256 == data.sha256:
        _say("nothing is new: what is live was trained on these very answers")
        return
    store, key = open_pointer(to, publisher_role)  # asking may have taken longer than a role holds
    with progress_bar("embedding") as report:
        trained = train(
            data,
            encoder,
            out / "artifact",
            options=Options(catalog=asked),
            cache_folder=BUILD / "cache",
            champion=(store, key),
            progress=report,
        )
    console.print(artifact_table(trained.manifest))
    _say(trained.manifest.verdict.sentence, style="bold")
    is_live, sentence = release(trained, out / "artifact", store, key, who=who, why=why)
    _say(sentence)
    if not is_live:
        raise typer.Exit(1)


def _announce(
    plan: Plan, asked: Catalog, paid: PaidRows, cap_usd: float, live: Manifest | None
) -> None:
    """Print what is going to be asked and what it may cost."""
    number = len(plan.questions)
    _say(f"asks {', '.join(asked.names)} {number} prompts each on Amazon Bedrock:")
    _say(f"at most {plan.most_usd:.2f} USD at the catalog's prices, cap {cap_usd:.2f} USD")
    if plan.certain < number:
        _say(f"the cap is certain to pay for {plan.certain} of them, the others while it lasts")
    if len(paid):
        _say(f"{len(paid)} were asked before ({paid.spent_usd:.4f} USD, counted): {paid.path}")
    if live is not None:
        _say(f"live is {live.router}: a new router must keep up with it to take its place")


def _look(asked: Catalog, chat_model: ChatModel, workshop: Workshop) -> float:
    """Ask each candidate one tiny question, so that no money is spent on data with a gap.

    Returns:
        What that cost, in USD.

    Raises:
        DataError: one of them does not answer; the table printed says why, and the cure.
    """
    findings = examine(asked, chat_model, today=workshop.today())
    answered = [one.outcome for one in findings if isinstance(one.outcome, Answered)]
    if len(answered) < len(findings):
        show_findings(findings)
        raise DataError(
            "not all candidates answer, so nothing more was asked: cure what is above, or name"
            " those that answer with --candidates"
        )
    return sum(one.cost_usd for one in answered)


def _check_enough(paid: PaidRows, collected: Collected) -> None:
    """Print what failed, and stop where too little is left to judge a router by.

    Raises:
        DataError: so few prompts are scored; it names why and where they are kept.
    """
    if collected.failures or collected.over_budget:
        _say(f"{collected.failures} answers failed, {collected.over_budget} not asked for")
    for cause, count in sorted(collected.causes.items()):
        _say(f"  {cause} ({count} x)")
    if paid.scored < FEWEST_TO_LEARN:
        raise DataError(
            f"every candidate answered {paid.scored} prompts, {FEWEST_TO_LEARN} are needed; what"
            f" came is kept in {paid.path}, and the same command asks for the rest"
        )


def _say(line: str, style: str | None = None) -> None:
    console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)
