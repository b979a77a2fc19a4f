"""One process of a Lambda function: how it is started, fed with events and buried."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.local.proxy_events import ACCOUNT_ID, REGION
from tests.local.runtime_api import Dispatch, RuntimeApi

MAX_RESPONSE_BYTES = 6 * 1024 * 1024
_LAST_LINES = 8


class LambdaInitError(Exception):
    """The function never came to take an event: its import failed or its process ended."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message


class LambdaFunctionError(Exception):
    """The handler raised, ran out of time or died; the text is the error's message alone."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


@dataclass(frozen=True, slots=True)
class InvokeResult:
    """What the function returned, or the error it ended with."""

    request_id: str
    payload: Any = None
    error: Mapping[str, Any] | None = None
    """`errorType`, `errorMessage` and, where the handler raised, `stackTrace`."""
    duration_ms: float = 0.0
    """From handing the event to the process to having its answer, as Lambda reports it."""


@dataclass(frozen=True, slots=True, eq=False)
class Invocation:
    """One event, and the promise of its end."""

    request_id: str
    event: bytes
    future: "Future[InvokeResult]" = field(default_factory=Future)

    def fail(self, error_type: str, message: str) -> None:
        """End with an error that the runtime did not report itself."""
        text = f"RequestId: {self.request_id} Error: {message}"
        error = {"errorType": error_type, "errorMessage": text}
        self.future.set_result(InvokeResult(self.request_id, error=error))


@dataclass(frozen=True, slots=True)
class Program:
    """What is started, and how long it may take over one event."""

    handler: str
    environment: Mapping[str, str]
    name: str
    timeout_seconds: float
    cwd: Path
    command: tuple[str, ...] = (sys.executable,)
    """The interpreter, with its options."""
    cpu: int | None = None
    """The one core it may run on; None: any."""

    @property
    def arn(self) -> str:
        """The function's ARN."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.name}"

    def spawn(self, api_address: str, log_path: Path) -> subprocess.Popen[bytes]:
        """Start a process that asks the runtime API for its events and appends to the log."""
        own = {
            "AWS_LAMBDA_LOG_STREAM_NAME": f"loopback/[$LATEST]{uuid.uuid4().hex}",
            "AWS_LAMBDA_RUNTIME_API": api_address,
        }
        with log_path.open("ab") as log, _pinned(self.cpu):
            return subprocess.Popen(
                [*self.command, "-m", "awslambdaric", self.handler],
                env={**self.environment, **own},
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@contextmanager
def _pinned(cpu: int | None) -> Iterator[None]:
    """Let this thread, and with it whatever it starts, run on one core only."""
    if cpu is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Queue:
    """The events that wait; `changed` guards it and the state of every process."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._waiting: deque[Invocation] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, invocation: Invocation) -> None:
        """Add an event and wake whoever waits for one."""
        self._waiting.append(invocation)
        self.changed.notify_all()

    def take(self) -> Invocation | None:
        """Return the next event whose sender still waits for it."""
        while self._waiting:
            invocation = self._waiting.popleft()
            if invocation.future.set_running_or_notify_cancel():
                return invocation
        return None

    def fail(self, error: LambdaInitError) -> None:
        """End every event that waits."""
        while (invocation := self.take()) is not None:
            invocation.future.set_exception(error)


class Process:
    """One execution environment: a process and the runtime API it talks to."""

    def __init__(self, program: Program, queue: Queue, log_path: Path) -> None:
        self.ready = False
        self._program = program
        self._queue = queue
        self._changed = queue.changed
        self._log_path = log_path
        self._log_start = log_path.stat().st_size if log_path.exists() else 0
        self._gone = False
        self._current: Invocation | None = None
        self._begun_at = 0.0
        self._timer: threading.Timer | None = None
        self._reported: LambdaInitError | None = None
        self._api = RuntimeApi(self)
        with ExitStack() as undo:
            undo.callback(self._api.close)
            self.popen = program.spawn(self._api.address, log_path)
            undo.pop_all()

    def next_event(self) -> Dispatch | None:
        """Wait for the next event of the queue; None once the process is gone."""
        with self._changed:
            self.ready = True
            self._changed.notify_all()
            # A process that is gone must not take an event: nobody would ever answer it.
            while not self._gone:
                invocation = self._queue.take()
                if invocation is not None:
                    return self._begin(invocation)
                self._changed.wait()
        return None

    def finish(self, request_id: str, body: bytes, *, raised: bool) -> HTTPStatus:
        """Hand the handler's answer to whoever waits for it."""
        duration_ms = 1e3 * (time.perf_counter() - self._begun_at)
        too_large = len(body) > MAX_RESPONSE_BYTES
        answer = None if too_large else json.loads(body)
        with self._changed:
            invocation = self._current
            if invocation is None or invocation.request_id != request_id:
                return HTTPStatus.BAD_REQUEST
            self._end()
        if too_large:
            sizes = f"{len(body)} bytes where Lambda takes {MAX_RESPONSE_BYTES}"
            invocation.fail("Function.ResponseSizeTooLarge", f"the response has {sizes}")
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        payload, error = (None, answer) if raised else (answer, None)
        result = InvokeResult(request_id, payload, error, duration_ms)
        invocation.future.set_result(result)
        return HTTPStatus.ACCEPTED

    def fail_init(self, body: bytes) -> None:
        """Keep the reason and end the process: a thread of its own could hold it up for ever."""
        error = json.loads(body)
        self._reported = LambdaInitError(error["errorType"], error["errorMessage"])
        self.popen.kill()

    def bury(self) -> None:
        """Note that the process has ended, and tell whoever waits for it."""
        self._gone = True
        if self._current is not None:
            invocation = self._current
            self._end()
            status = f"exit status {self.popen.returncode}"
            invocation.fail("Runtime.ExitError", f"the runtime exited: {status}")

    def init_error(self) -> LambdaInitError:
        """Say why the process never asked for an event."""
        if self._reported is not None:
            return self._reported
        with self._log_path.open("rb") as log:
            log.seek(self._log_start)
            last = "\n".join(log_lines(log.read())[-_LAST_LINES:])
        message = f"the process ended with status {self.popen.returncode} during init\n{last}"
        return LambdaInitError("Runtime.ExitError", message)

    def close(self) -> None:
        """Close the runtime API of a process that has ended."""
        self._api.close()

    def _begin(self, invocation: Invocation) -> Dispatch:
        self._current = invocation
        seconds = self._program.timeout_seconds
        self._timer = threading.Timer(seconds, self._time_out, args=(invocation,))
        self._timer.daemon = True
        self._timer.start()
        now = time.time()
        self._begun_at = time.perf_counter()
        return Dispatch(
            request_id=invocation.request_id,
            event=invocation.event,
            deadline_ms=int((now + seconds) * 1000),
            function_arn=self._program.arn,
            trace_id=f"Root=1-{int(now):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        )

    def _end(self) -> None:
        self._current = None
        if self._timer is not None:
            self._timer.cancel()

    def _time_out(self, invocation: Invocation) -> None:
        with self._changed:
            if self._current is not invocation:
                return
            self._end()
            self.popen.kill()
        seconds = self._program.timeout_seconds
        invocation.fail("Sandbox.Timedout", f"Task timed out after {seconds:.2f} seconds")


def log_lines(content: bytes) -> list[str]:
    """Split a log."""
    # Not splitlines(): awslambdaric joins the lines of one stack trace with a bare \r.
    text = content.decode("utf-8", "replace").removesuffix("\n")
    return text.split("\n") if text else []
