"""Time a deployed function: unpacked zips, awslambdaric, the loopback Runtime API, one core."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.local.lambda_runtime import LambdaFunction
from tests.local.proxy_events import proxy_event
from tests.local.unpacked import Unpacked

HANDLER = "classifier.entry.lambda_handler"
_TIMED = Path(__file__).with_name("timed_entry.py")
_KILOBYTES_PER_MEGABYTE = 1e3 / 1.024


@dataclass(frozen=True, slots=True)
class ColdStart:
    """One start, from spawning the process to its first routed response."""

    total_ms: float
    parts_ms: Mapping[str, float]
    """As the function measured them itself, by name."""


@dataclass(frozen=True, slots=True)
class Warm:
    """One round of requests to a running function, the next one always waiting in line."""

    milliseconds: Sequence[float]
    """Of each request, in order: the handler from its event to its answer."""
    invocation_ms: Sequence[float]
    """The same with the runtime client, as Lambda reports durations."""
    seconds: float
    """Of the whole round."""
    cache_states: frozenset[str]
    """Where the predictions came from, as the decisions say."""
    rss_mb: float
    """The most memory the process ever held."""

    @property
    def per_second(self) -> float:
        """How many requests one instance answers in a second."""
        return len(self.milliseconds) / self.seconds


@dataclass(frozen=True, slots=True)
class TimedFunction:
    """A function that can be started again and again."""

    unpacked: Unpacked
    environment: Mapping[str, str]
    cpu: int
    """The one core its processes may run on."""

    def start_cold(self, prompt: str) -> ColdStart:
        """Start a process, route one prompt, and end it."""
        started = time.perf_counter()
        with self._function(HANDLER) as function:
            _check(function.invoke(route_event(prompt)).payload)
            total_ms = 1e3 * (time.perf_counter() - started)
            (line,) = [
                found
                for text in function.log_lines
                if text.startswith("{") and (found := json.loads(text)).get("event") == "started"
            ]
        parts = {name: value for name, value in line.items() if name.endswith("_ms")}
        return ColdStart(total_ms, parts)

    def run_warm(self, warm_up: Sequence[str], rounds: Sequence[Sequence[str]]) -> list[Warm]:
        """Route `warm_up` untimed, then each round of prompts, in one process."""
        shutil.copy(_TIMED, self.unpacked.task)
        with self._function(f"{_TIMED.stem}.lambda_handler") as function:
            for prompt in warm_up:
                _check(function.invoke(route_event(prompt)).payload)
            return [_round(function, prompts) for prompts in rounds]

    def _function(self, handler: str) -> LambdaFunction:
        return LambdaFunction(handler, self.environment, unpacked=self.unpacked, cpu=self.cpu)


def route_event(prompt: str) -> dict[str, Any]:
    """Return the event of one decision."""
    body = {"model": "regroup", "messages": [{"role": "user", "content": prompt}]}
    return proxy_event(
        "POST",
        "/v1/route",
        body=json.dumps(body).encode(),
        authorizer={"key_id": "bench"},
        request_id=str(uuid.uuid4()),
    )


def on_other_core[T](cpu: int, work: Callable[[], T]) -> T:
    """Do something in this process off core `cpu`, with every thread that starts meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - {cpu} or before)
    try:
        return work()
    finally:
        os.sched_setaffinity(0, before)


def _round(function: LambdaFunction, prompts: Sequence[str]) -> Warm:
    events = [route_event(prompt) for prompt in prompts]
    started = time.perf_counter()
    # With one event in line the process never sleeps, as a busy instance's does not.
    with ThreadPoolExecutor(2) as line:
        results = list(line.map(function.invoke, events))
    seconds = time.perf_counter() - started
    states = frozenset(_check(result.payload) for result in results)
    (pid,) = function.pids
    return Warm(
        [one.payload["handler_ms"] for one in results],
        [one.duration_ms for one in results],
        seconds,
        states,
        _peak_mb(pid),
    )


def _check(payload: Mapping[str, Any]) -> str:
    """Return where the prediction came from; a decision without a router is no measurement."""
    decision = json.loads(payload["body"])
    if payload["statusCode"] != 200 or decision["version"] is None:
        raise RuntimeError(f"the function did not route: {payload}")
    return str(decision["cache"])


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / _KILOBYTES_PER_MEGABYTE
