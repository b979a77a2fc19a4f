"""Clients of the load benchmark, in a process of their own: they must not slow what they load.

`python -m tests.bench.load_clients < TASK` reads `url`, `key`, `clients`, `seconds` and `prompts`,
and prints a JSON list of what became of each request.
"""

import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 60.0
"""More than the gateway has: that it is late shall be seen, not cut off."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client got for one request."""

    status: int
    """0: no answer at all."""
    seconds: float
    code: str | None
    """The error's code."""
    decision_id: str | None


class Client:
    """Sends one request after another on a connection that is kept."""

    def __init__(self, url: str, key: str) -> None:
        self._host = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection = self._connect()

    def ask(self, prompt: str) -> Outcome:
        """Send one chat and return what came of it."""
        body = {"model": "regroup", "messages": [{"role": "user", "content": prompt}]}
        started = time.perf_counter()
        try:
            self._connection.request(
                "POST", "/v1/chat/completions", json.dumps(body), self._headers
            )
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = self._connect()
            return Outcome(0, time.perf_counter() - started, None, None)
        seconds = time.perf_counter() - started
        code = None if response.status == 200 else _code(content)
        return Outcome(response.status, seconds, code, response.getheader("x-regroup-decision-id"))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, timeout=_PATIENCE_SECONDS)


def run(task: dict[str, Any]) -> list[Outcome]:
    """Let all clients ask at once until the time is up or the prompts are."""
    prompts, lock = iter(task["prompts"]), threading.Lock()
    outcomes: list[Outcome] = []
    end = time.monotonic() + task["seconds"]

    def work() -> None:
        client = Client(task["url"], task["key"])
        for prompt in _until(end, prompts, lock):
            outcomes.append(client.ask(prompt))
        client.close()

    threads = [threading.Thread(target=work) for _ in range(task["clients"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _until(end: float, prompts: Iterator[str], lock: threading.Lock) -> Iterator[str]:
    while time.monotonic() < end:
        with lock:
            prompt = next(prompts, None)
        if prompt is None:
            return
        yield prompt


def _code(content: bytes) -> str | None:
    try:
        return str(json.loads(content)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return None


if __name__ == "__main__":
    json.dump([asdict(outcome) for outcome in run(json.load(sys.stdin))], sys.stdout)
