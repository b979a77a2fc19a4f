"""A function whose answers leave piece by piece, in a process of its own.

with StreamingFunction(stack.environment()) as function:
    answer = function.handle(event)
"""

import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.local.lambda_process import log_lines
from tests.local.proxy_responses import StreamedAnswer

_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-m", "tests.local.streaming_server"]
_STOP_SECONDS = 5


class StreamingFunction:
    """The classifier, asked over loopback HTTP."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {"PATH": "/usr/bin:/bin", **environment}
        self._exit = ExitStack()
        self._port = 0
        self.log_path = Path()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            log = stack.enter_context(tempfile.NamedTemporaryFile(prefix="streaming-"))
            self.log_path = Path(log.name)
            process = stack.enter_context(
                subprocess.Popen(
                    _COMMAND,
                    cwd=_ROOT,
                    env=self._environment,
                    stdout=log,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(_stop, process)
            assert process.stderr is not None
            first = process.stderr.readline()
            if not first.strip().isdigit():
                raise RuntimeError(f"the function did not start: {first}{process.stderr.read()}")
            self._port = int(first)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def wait_until_ready(self, _timeout_seconds: float = 0.0) -> None:
        """Return at once: it was ready when it said its port."""

    @property
    def log_lines(self) -> list[str]:
        """What it wrote to standard output so far."""
        return log_lines(self.log_path.read_bytes())

    def handle(self, event: Mapping[str, Any]) -> StreamedAnswer:
        """Ask, and return the answer as soon as it begins; its pieces must be read or closed."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("POST", "/", json.dumps(event).encode("utf-8", "surrogatepass"))
        answer = connection.getresponse()
        headers = tuple(
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() not in {"transfer-encoding", "server", "date"}
        )
        return StreamedAnswer(answer.status, headers, _pieces(connection, answer))


def _pieces(
    connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
) -> Iterator[bytes]:
    with closing(connection), closing(answer):
        while piece := answer.read1(65_536):
            yield piece


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
