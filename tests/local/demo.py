"""`make demo`: the whole life of the router in three minutes.

Ask every candidate, score the answers, train, publish, serve, send prompts that training never
saw, and compare. The models are stand-ins that really attempt each prompt; `--bedrock` asks the
real ones instead, after a cost estimate and a confirmation.
"""

import argparse
import http.client
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import boto3
import numpy as np
from rich.console import Console
from rich.table import Table

from regroup.adapters.bedrock import BedrockChatModel
from regroup.artifact import Manifest
from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Catalog
from tests.bench.data import REPOSITORY, RESULTS
from tests.local.bedrock import LoopbackBedrock
from tests.local.demo_figures import Answers, Line, table_lines
from tests.local.stack import CATALOG, LocalStack
from tests.local.stand_ins import profile
from training.collect import (
    Budget,
    Collected,
    Collector,
    Question,
    estimate_usd,
    write_rows,
)
from training.dataset import Dataset, read_dataset
from training.encoder import ensure_encoder
from training.prepare import Options
from training.prompts import KINDS, generate, is_correct
from training.train import train

LANGUAGES = ("en", "ja")
TRAINING_PROMPTS, UNSEEN_PROMPTS, REPEATED = 1_500, 300, 60
ONE_BEST_PROMPTS = 400
UNSEEN_CATEGORIES = 2
TRAINING_SEED, UNSEEN_SEED = 1, 2

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Routed:
    """What the served router answered."""

    rewards: list[float]
    costs_usd: list[float]
    milliseconds: list[float]
    cache_hits: int


def main() -> None:
    """Run the demo, print its table and write `build/bench/demo.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bedrock", action="store_true", help="ask the real models")
    parser.add_argument("--check", action="store_true", help="fail unless the table holds up")
    arguments = parser.parse_args()
    real = arguments.bedrock
    catalog = read_catalog(CATALOG.read_bytes(), place=str(CATALOG))
    training, unseen = _questions()
    if real:
        _confirm([*training, *unseen], catalog)
    with console.status("set-up: the multilingual encoder"):
        encoder = ensure_encoder("e5-small", REPOSITORY / "build/encoder")
    started = time.perf_counter()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        report, lines = _life(training, unseen, catalog, encoder, folder, real=real)
        if not real:
            report["one_best_verdict"] = _one_best(training, catalog, encoder, folder)
    report["seconds"] = round(time.perf_counter() - started, 1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "demo.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    _print(report, lines, real=real)
    if arguments.check and (broken := broken_promises(report)):
        sys.exit(f"the demo does not hold: {', '.join(broken)}")


def broken_promises(report: Mapping[str, Any]) -> list[str]:
    """Return what the stand-ins are made to show and this run does not."""
    reward = report["router_reward"]
    promises = {
        "better than random": reward > report["random_reward"],
        "better than the blind mix": reward > report["mix_reward"],
        "no worse than the best single model": reward >= report["best_single_reward"] - 0.01,
        "no better than the oracle": reward <= report["oracle_reward"],
        "repeated prompts come from the cache": report["cache_hits"] == REPEATED,
        "one best model is not routed": report["one_best_verdict"].startswith("do not route"),
    }
    return [promise for promise, kept in promises.items() if not kept]


def _questions() -> tuple[list[Question], list[Question]]:
    """Return prompts to train on and others, of which training saw neither text nor some kinds."""
    kinds = sorted(KINDS)
    seen = kinds[:-UNSEEN_CATEGORIES]
    training = generate(TRAINING_PROMPTS, LANGUAGES, TRAINING_SEED, categories=seen)
    texts = {prompt.text for prompt in training}
    more = generate(2 * UNSEEN_PROMPTS, LANGUAGES, UNSEEN_SEED)
    unseen = [prompt for prompt in more if prompt.text not in texts][:UNSEEN_PROMPTS]
    return [_question(p) for p in training], [_question(p) for p in unseen]


def _life(
    training: list[Question],
    unseen: list[Question],
    catalog: Catalog,
    encoder: Path,
    folder: Path,
    *,
    real: bool,
) -> tuple[dict[str, object], dict[str, list[Line]]]:
    responder = profile("specialists", catalog)
    with LoopbackBedrock(responder) as bedrock:
        model = BedrockChatModel() if real else _loopback_model(bedrock)
        step(f"1. ask {len(catalog.names)} candidates {len(training)} prompts, score the answers")
        labelled = _collect(training, catalog, model, folder / "labelled.jsonl")
        asked = _collect(unseen, catalog, model, folder / "unseen.jsonl")
        model.close()
    step("2. train a router on them")
    manifest = train(
        labelled,
        encoder,
        folder / "artifact",
        options=Options(catalog=catalog),
        cache_folder=REPOSITORY / "build/cache",
    ).manifest
    console.print(f"   {manifest.verdict.sentence}")
    step(f"3. publish it, serve it, send {len(unseen)} unseen prompts over HTTP")
    with LocalStack(artifact=folder / "artifact", responder=responder, real_bedrock=real) as stack:
        routed = _route(stack, unseen)
    answers = Answers(
        candidates=asked.candidates,
        rewards=asked.rewards,
        costs_usd=asked.cost_usd,
        router_rewards=np.array(routed.rewards),
        router_costs_usd=np.array(routed.costs_usd),
    )
    return _report(answers, labelled, manifest, unseen, training, routed)


def _report(
    answers: Answers,
    labelled: Dataset,
    manifest: Manifest,
    unseen: list[Question],
    training: list[Question],
    routed: Routed,
) -> tuple[dict[str, object], dict[str, list[Line]]]:
    cheapest = labelled.candidates[int(np.nanmean(labelled.cost_usd, axis=0).argmin())]
    groups = {"all": np.ones(len(unseen), bool)}
    groups |= {code: np.array([q.language == code for q in unseen]) for code in LANGUAGES}
    lines = {
        name: table_lines(
            answers.take(rows), best_single=manifest.default_candidate, cheapest=cheapest
        )
        for name, rows in groups.items()
    }
    router, best, cheap, mix, random, oracle = lines["all"]
    seen = {question.dataset for question in training}
    new_kind = np.array([question.dataset not in seen for question in unseen])
    p50, p99 = np.percentile(routed.milliseconds, (50, 99))
    return {
        "router_reward": round(router.reward, 4),
        "best_single_reward": round(best.reward, 4),
        "cheapest_reward": round(cheap.reward, 4),
        "mix_reward": round(mix.reward, 4),
        "random_reward": round(random.reward, 4),
        "oracle_reward": round(oracle.reward, 4),
        "router_cost_usd": round(router.cost_usd, 6),
        "best_single_cost_usd": round(best.cost_usd, 6),
        "reward_ja": round(lines["ja"][0].reward, 4),
        "reward_en": round(lines["en"][0].reward, 4),
        "unseen_category_reward": round(float(answers.router_rewards[new_kind].mean()), 4),
        "verdict": manifest.verdict.sentence,
        "cache_hits": routed.cache_hits,
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
    }, lines


def _one_best(training: list[Question], catalog: Catalog, encoder: Path, folder: Path) -> str:
    """Return the verdict where one model is best at everything."""
    step(f"4. once more where one model is best at everything, {ONE_BEST_PROMPTS} prompts")
    with LoopbackBedrock(profile("one_best", catalog)) as bedrock:
        model = _loopback_model(bedrock)
        labelled = _collect(training[:ONE_BEST_PROMPTS], catalog, model, folder / "one-best.jsonl")
        model.close()
    trained = train(
        labelled,
        encoder,
        folder / "one-best",
        options=Options(catalog=catalog),
        cache_folder=REPOSITORY / "build/cache",
    )
    console.print(f"   {trained.manifest.verdict.sentence}")
    return trained.manifest.verdict.sentence


def _collect(
    questions: list[Question], catalog: Catalog, model: BedrockChatModel, path: Path
) -> Dataset:
    budget = Budget(estimate_usd(questions, catalog))
    collector = Collector(model, score=is_correct, budget=budget, sleep=time.sleep)
    collected: Collected = collector.collect(questions, catalog)
    if collected.failures:
        console.print(f"   {collected.failures} answers failed; they are gaps in the data")
    write_rows(collected.rows, path)
    return read_dataset(path)


def _route(stack: LocalStack, unseen: Sequence[Question]) -> Routed:
    address = urlsplit(stack.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    headers = {"Authorization": f"Bearer {stack.key}", "Content-Type": "application/json"}
    routed = Routed([], [], [], 0)
    hits = 0
    try:
        for number, question in enumerate([*unseen, *unseen[:REPEATED]]):
            messages = [{"role": "user", "content": question.text}]
            body = json.dumps({"model": "regroup-quality", "messages": messages})
            sent = time.perf_counter()
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            completion = json.loads(answer.read())
            if answer.status != 200:
                sys.exit(f"the router answered {answer.status}: {completion}")
            hits += answer.headers["x-regroup-cache"] in ("memory", "hit")
            if number >= len(unseen):
                continue
            routed.milliseconds.append(1000 * (time.perf_counter() - sent))
            given = completion["choices"][0]["message"]["content"]
            routed.rewards.append(float(is_correct(question.answer, given)))
            candidate = stack.catalog.candidates[completion["model"]]
            usage = completion["usage"]
            routed.costs_usd.append(
                candidate.cost_usd(usage["prompt_tokens"], usage["completion_tokens"])
            )
    finally:
        connection.close()
    return Routed(routed.rewards, routed.costs_usd, routed.milliseconds, hits)


def _loopback_model(bedrock: LoopbackBedrock) -> BedrockChatModel:
    session = boto3.Session(aws_access_key_id="loopback", aws_secret_access_key="loopback")
    return BedrockChatModel(
        lambda region, config: session.client(
            "bedrock-runtime",
            region_name=region,
            endpoint_url=bedrock.endpoint_url,
            config=config,
        )
    )


def _confirm(questions: list[Question], catalog: Catalog) -> None:
    """Show what asking the real models costs at the most, and ask before any call."""
    most = estimate_usd(questions, catalog) + max(
        estimate_usd(questions[-UNSEEN_PROMPTS:], Catalog({name: one}))
        for name, one in catalog.candidates.items()
    )
    console.print(f"This asks {', '.join(catalog.names)} on Amazon Bedrock with your credentials.")
    console.print(f"It costs at most {most:.2f} USD at the catalog's prices; usually far less.")
    if not sys.stdin.isatty() or input("Type yes to go on: ").strip() != "yes":
        sys.exit("Nothing was asked.")


def _question(prompt: object) -> Question:
    fields = {name: getattr(prompt, name) for name in ("id", "text", "answer", "language")}
    return Question(**fields, dataset=getattr(prompt, "category"))  # noqa: B009


def step(text: str) -> None:
    """Say what happens now."""
    console.print(f"[bold]{text}[/bold]")


def _print(report: dict[str, object], lines: dict[str, list[Line]], *, real: bool) -> None:
    table = Table("300 unseen prompts", title_justify="left")
    for column in ("reward", "en", "ja", "cost, mUSD"):
        table.add_column(column, justify="right")
    for everything, en, ja in zip(lines["all"], lines["en"], lines["ja"], strict=True):
        figures = (everything.reward, en.reward, ja.reward)
        table.add_row(
            everything.name,
            *(f"{figure:.3f}" for figure in figures),
            f"{1000 * everything.cost_usd:.2f}",
        )
    console.print(table)
    console.print(f"verdict: {report['verdict']}")
    if "one_best_verdict" in report:
        console.print(f"where one model is best at everything: {report['one_best_verdict']}")
    console.print(f"kinds of prompts training never saw: reward {report['unseen_category_reward']}")
    console.print(
        f"{REPEATED} prompts sent once more: {report['cache_hits']} cache hits; "
        f"p50 {report['p50_ms']} ms, p99 {report['p99_ms']} ms over HTTP"
    )
    console.print(f"{report['seconds']} s, written to build/bench/demo.json")
    if not real:
        console.print("\nStand-in models: this shows the mechanism, not a gain.")
        console.print("The same on Amazon Bedrock, with an estimate first: make demo BEDROCK=1")


if __name__ == "__main__":
    main()
