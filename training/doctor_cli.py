"""`regroup doctor`: which candidates answer, and what cures those that do not."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from regroup.adapters.bedrock import BedrockChatModel
from regroup.catalog_file import read_catalog
from regroup.domain.chat import Usage
from regroup.ports import ChatModel
from training.catalogs import content_at, names_in, only, price_days
from training.cures import Advice
from training.doctor import Answered, Finding, LeftOut, Outcome, Refused, examine, is_healthy

_AWS_OWN = "amazon"
"""The family that needs no Marketplace subscription."""

# Typer reads no `type` statements: it would show these options without help.
CatalogOption = Annotated[
    str, typer.Option(help="The catalog: a path, file:path or s3://bucket/key.")
]
CandidatesOption = Annotated[
    str | None, typer.Option(help="Names with commas: only these. Default: all of the catalog.")
]

doctor_app = typer.Typer()
console = Console()


@dataclass(frozen=True, slots=True)
class Bench:
    """What the command asks of the world."""

    chat_model: Callable[[], ChatModel] = BedrockChatModel
    today: Callable[[], date] = lambda: datetime.now(UTC).date()


@doctor_app.command(name="doctor")
def doctor_command(
    context: typer.Context,
    catalog: CatalogOption,
    candidates: CandidatesOption = None,
    residency: Annotated[
        Literal["jp", "apac", "us", "global"] | None,
        typer.Option(help="Where prompts must stay, as the deployment's setting says."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Ask every candidate one tiny question on Bedrock: who answers, and what cures the others.

    It costs far less than a cent and takes 20 seconds at the most.

    The status is 0 where somebody answers and nobody fails.
    """
    bench = context.ensure_object(Bench)
    content = content_at(catalog)
    wanted = read_catalog(content, place=catalog)
    if candidates is not None:
        wanted = only(wanted, names_in(candidates))
    findings = examine(
        wanted,
        bench.chat_model(),
        today=bench.today(),
        priced=price_days(content),
        residency=residency,
    )
    if as_json:
        typer.echo(json.dumps(_report(findings), indent=1, ensure_ascii=False))
    else:
        show_findings(findings)
    if not is_healthy(findings):
        raise typer.Exit(1)


def show_findings(findings: Sequence[Finding]) -> None:
    """Print a table with a row for each candidate, and below it what is to be done."""
    table = Table(box=None, pad_edge=False)
    table.add_column("candidate", no_wrap=True)
    table.add_column("result", no_wrap=True)
    for head in ("ms", "tokens in/out", "USD"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for finding in findings:
        cells = (finding.candidate.name, *_cells(finding.outcome))
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    for line in (*_warnings(findings), *_cures(findings), *_summary(findings)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _cells(outcome: Outcome) -> tuple[str, ...]:
    match outcome:
        case Answered(latency_ms, usage, cost_usd):
            tokens = f"{_input(usage)}/{usage.output}"
            return "answers", f"{latency_ms:.0f}", tokens, f"{cost_usd:.6f}", ""
        case Refused(_, advice):
            return "refused", "", "", "", advice.cause
        case LeftOut(why):
            return "left out", "", "", "", why


def _warnings(findings: Sequence[Finding]) -> list[str]:
    return [
        f"{one.candidate.name}: warning: {warning}" for one in findings for warning in one.warnings
    ]


def _cures(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield what is to be done, once for all it cures; addresses and commands keep to one line."""
    patients: dict[tuple[str, Advice], list[str]] = {}
    for finding in findings:
        if isinstance(finding.outcome, Refused):
            refusal, advice = finding.outcome.refusal, finding.outcome.advice
            asked = f" (request {refusal.request_id})" if refusal.request_id else ""
            names = patients.setdefault((refusal.code, advice), [])
            names.append(f"{finding.candidate.name}{asked}")
    for (code, advice), names in patients.items():
        yield f"{', '.join(names)}: {advice.cause}; the code is {code}"
        yield f"  cure: {advice.cure}"
        yield f"  see:  {advice.url}"


def _summary(findings: Sequence[Finding]) -> Iterator[str]:
    answered = [one for one in findings if isinstance(one.outcome, Answered)]
    refused = sum(isinstance(one.outcome, Refused) for one in findings)
    yield f"{len(answered)} of {len(findings)} candidates answer, {refused} refused"
    if any(one.candidate.family != _AWS_OWN for one in answered):
        # https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html
        yield (
            "In an account that asked such a model for the first time, answers may stop while AWS"
            " sets up the subscription: run this once more after 15 minutes."
        )


def _report(findings: Sequence[Finding]) -> dict[str, object]:
    return {"healthy": is_healthy(findings), "candidates": [_fields(one) for one in findings]}


def _fields(finding: Finding) -> dict[str, object]:
    candidate = finding.candidate
    return {
        "name": candidate.name,
        "model": candidate.invoke_id,
        "region": candidate.region,
        **_outcome_fields(finding.outcome),
        "warnings": list(finding.warnings),
    }


def _outcome_fields(outcome: Outcome) -> dict[str, object]:
    match outcome:
        case Answered(latency_ms, usage, cost_usd):
            return {
                "result": "answers",
                "latency_ms": round(latency_ms, 1),
                "input_tokens": _input(usage),
                "output_tokens": usage.output,
                "cost_usd": cost_usd,
            }
        case Refused(refusal, advice):
            return {
                "result": "refused",
                "code": refusal.code,
                "request_id": refusal.request_id,
                "cause": advice.cause,
                "cure": advice.cure,
                "url": advice.url,
            }
        case LeftOut(why):
            return {"result": "left out", "cause": why}


def _input(usage: Usage) -> int:
    """Count all tokens of the prompt, cached ones too."""
    return usage.input + usage.cache_read + usage.cache_write
