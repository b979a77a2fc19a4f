"""`make bench-load`: many clients at once on the deployed zips while Bedrock throttles and hangs.

50 clients ask for 60 seconds through the loopback gateway; several instances of the function
answer. Of Bedrock's calls one in ten is throttled, one in fifty reset, one in a hundred hangs.
"""

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from tests.bench.data import REPOSITORY, RESULTS
from tests.bench.load_clients import Outcome
from tests.bench.machine import describe_machine
from tests.bench.prompts_by_length import prompts_of
from tests.local.artifacts import sample_artifact
from tests.local.bedrock import Delay, Fault, Ok, Reset, Throttle
from tests.local.gateway import TIMEOUT_SECONDS
from tests.local.stack import DECISIONS_TABLE, LocalStack
from tests.local.unpacked import unpack
from training.encoder import ensure_minilm
from training.sources import TOKENIZER

CLIENTS, SECONDS, INSTANCES = 50, 60, 50
THROTTLED, RESET, HANGING = 0.10, 0.02, 0.01
MOST_REQUESTS = 20_000
"""As many distinct prompts are made; the clients stop when they are used up."""
_HANG_SECONDS = 120.0
_CLIENTS_LIMIT_SECONDS = SECONDS + 120


@dataclass(slots=True)
class Dice:
    """What a call of Bedrock meets, by chance from a seed."""

    chance: random.Random
    met: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> Fault:
        """Throw once."""
        with self._lock:
            draw = self.chance.random()
            fault = _fault(draw)
            self.met[type(fault).__name__.lower()] += 1
        return fault


def _fault(draw: float) -> Fault:
    if draw < THROTTLED:
        return Throttle()
    if draw < THROTTLED + RESET:
        return Reset()
    if draw < THROTTLED + RESET + HANGING:
        return Delay(_HANG_SECONDS)
    return Ok()


def main() -> None:
    """Run the benchmark; print what came of it and write `build/bench/load.json`."""
    console = Console(stderr=not sys.stdout.isatty(), highlight=False)
    dice = Dice(random.Random(20))
    with TemporaryDirectory() as scratch:
        report = _run(Path(scratch), dice, console)
    report |= {
        "clients": CLIENTS,
        "instances": INSTANCES,
        "bedrock": dict(sorted(dice.met.items())),
        "machine": describe_machine(),
        "at": datetime.now(UTC).date().isoformat(),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "load.json").write_text(json.dumps(report, indent=1) + "\n")
    Console(highlight=False).print_json(json.dumps(report))


def _run(scratch: Path, dice: Dice, console: Console) -> dict[str, Any]:
    homes = {name: unpack(name, scratch / "unpacked") for name in ("classifier", "authorizer")}
    with console.status("training a small router"):
        artifact, _ = sample_artifact(scratch)
    encoder = ensure_minilm(REPOSITORY / "build/encoder")
    prompts = prompts_of(encoder / TOKENIZER, "", 32, MOST_REQUESTS, seed=1)
    with LocalStack(artifact=artifact, unpacked=homes, instances=INSTANCES, chance=dice) as stack:
        with console.status(f"{CLIENTS} clients for {SECONDS} s on {INSTANCES} instances"):
            outcomes = _ask(stack, prompts)
        queue = stack.aws.client("sqs").get_queue_attributes(
            QueueUrl=stack.queue_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        kept = _decision_ids(stack)
        lines = list(read_lines(stack.function.log_lines))
    samples = int(queue["Attributes"]["ApproximateNumberOfMessages"])
    return judge(outcomes, lines, kept, samples=samples)


def _ask(stack: LocalStack, prompts: Sequence[str]) -> list[Outcome]:
    task = {
        "url": stack.url,
        "key": stack.key,
        "clients": CLIENTS,
        "seconds": SECONDS,
        "prompts": prompts,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load_clients"],
        input=json.dumps(task).encode(),
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        timeout=_CLIENTS_LIMIT_SECONDS,
    )
    return [Outcome(**one) for one in json.loads(done.stdout)]


def _decision_ids(stack: LocalStack) -> set[str]:
    pages = stack.aws.client("dynamodb").get_paginator("scan").paginate(TableName=DECISIONS_TABLE)
    return {item["decision_id"]["S"] for page in pages for item in page["Items"]}


def read_lines(texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a log that several processes write to.

    A process writes a line and its end in two steps, so two objects may share a line.
    """
    decoder = json.JSONDecoder()
    for text in texts:
        at = 0
        while (at := text.find("{", at)) >= 0:
            try:
                found, at = decoder.raw_decode(text, at)
            except ValueError:
                break
            yield found


def judge(
    outcomes: Sequence[Outcome],
    lines: Sequence[Mapping[str, Any]],
    kept: Collection[str],
    *,
    samples: int,
) -> dict[str, Any]:
    """Return what became of the requests.

    Args:
        outcomes: of each request, as its client saw it.
        lines: what the function logged.
        kept: ids of the decisions in the table, for feedback.
        samples: messages in the queue; every answered request is sampled.
    """
    logged = {str(line["decision_id"]): line for line in lines if line.get("event") == "decision"}
    decisions = logged.values()
    answers = [one for one in outcomes if one.status == 200]
    no_answer = sum(one.status == 503 and one.code == "no_answer" for one in outcomes)
    all_down = sum(line["status"] == 503 and _tried_all(line) for line in decisions)
    unlogged = [one for one in answers if one.decision_id not in logged]
    unkept = [one for one in answers if one.decision_id not in kept]
    seconds = [one.seconds for one in outcomes]
    cuts = quantiles(seconds, n=100, method="inclusive")
    return {
        "requests": len(outcomes),
        "answered": len(answers) + min(no_answer, all_down),
        "over_deadline": sum(one.seconds > TIMEOUT_SECONDS for one in outcomes),
        "lost_records": len(unlogged) + len(unkept) + max(0, len(outcomes) - len(logged)),
        "lost_samples": max(0, len(answers) - samples),
        "answered_503_all_down": min(no_answer, all_down),
        "answered_by_fallback": sum(
            line["status"] == 200 and line["fallbacks"] > 0 for line in decisions
        ),
        "by_status": {
            f"{status} {code}" if code else str(status): count
            for (status, code), count in sorted(
                Counter((one.status, one.code or "") for one in outcomes).items()
            )
        },
        "latency_p50_ms": round(1e3 * cuts[49], 1),
        "latency_p95_ms": round(1e3 * cuts[94], 1),
        "latency_p99_ms": round(1e3 * cuts[98], 1),
        "latency_most_ms": round(1e3 * max(seconds), 1),
    }


def _tried_all(line: Mapping[str, Any]) -> bool:
    """Tell whether everyone was asked who could have served, resting or not."""
    could = {name for name, hurdle in line["mask"].items() if hurdle in {None, "cooling_down"}}
    return could <= {attempt["model"] for attempt in line["attempts"]}


if __name__ == "__main__":
    main()
