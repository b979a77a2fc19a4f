"""A Lambda function on loopback: the runtime API of 2018-06-01 around real awslambdaric processes.

    with LambdaFunction("classifier.entry.lambda_handler", aws.environment()) as function:
        result = function.invoke({"body": "..."})
        assert result.payload["statusCode"] == 200
        decision = json.loads(function.log_lines[-1])

As in Lambda, a process takes one event at a time, a process that died is replaced when the next
event comes, one over its time is killed, and a process sees no variable but those it is given.
"""

import json
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.local.lambda_process import (
    MAX_RESPONSE_BYTES,
    Invocation,
    InvokeResult,
    LambdaFunctionError,
    LambdaInitError,
    Process,
    Program,
    Queue,
    log_lines,
)
from tests.local.unpacked import Unpacked

__all__ = [
    "MAX_RESPONSE_BYTES",
    "InvokeResult",
    "LambdaFunction",
    "LambdaFunctionError",
    "LambdaInitError",
]

ROOT = Path(__file__).resolve().parents[2]
_SHUTDOWN_SECONDS = 3.0


class LambdaFunction:
    """A deployed function: up to `instances` processes that share one queue of events."""

    def __init__(
        self,
        handler: str,
        environment: Mapping[str, str],
        *,
        name: str = "loopback",
        memory_mb: int = 1769,
        timeout_seconds: float = 29.0,
        instances: int = 1,
        cwd: Path = ROOT,
        log_path: Path | None = None,
        unpacked: Unpacked | None = None,
        cpu: int | None = None,
        wrapper: Path | None = None,
    ) -> None:
        """Run from this repository, or from `unpacked` zips; on core `cpu` alone, if given.

        A `wrapper` is a Python file that starts the runtime client, as on Lambda a script can.
        """
        if unpacked is not None:
            cwd, environment = unpacked.task, {**environment, **unpacked.environment}
        variables = {
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            **environment,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "LAMBDA_TASK_ROOT": str(cwd),
            "_HANDLER": handler,
        }
        command = (sys.executable,) if unpacked is None else unpacked.command
        if wrapper is not None:
            command = (*command, str(wrapper))
        self._program = Program(handler, variables, name, timeout_seconds, cwd, command, cpu)
        self._instances = instances
        self._given_log_path = log_path
        self._log_path = log_path or Path()
        self._final_log = b""
        self._queue = Queue()
        self._changed = self._queue.changed
        self._processes: list[Process] = []
        self._watchers: list[threading.Thread] = []
        self._init_error: LambdaInitError | None = None
        self._open = False

    def __enter__(self) -> Self:
        if self._given_log_path is None:
            with tempfile.NamedTemporaryFile(prefix="lambda-", suffix=".log", delete=False) as file:
                self._log_path = Path(file.name)
        with ExitStack() as undo:
            undo.callback(self._close)
            with self._changed:
                self._open = True
                self._start_missing()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def invoke(self, event: Mapping[str, Any], *, timeout_seconds: float = 60.0) -> InvokeResult:
        """Send one event, wait in line and return what came of it.

        Raises:
            LambdaInitError: no process came up to take it.
            TimeoutError: `timeout_seconds` of waiting and running were over first.
        """
        invocation = Invocation(str(uuid.uuid4()), json.dumps(event).encode())
        with self._changed:
            if not self._open:
                raise RuntimeError("the function is not open: use it as a context manager")
            self._start_missing()
            self._queue.put(invocation)
        try:
            return invocation.future.result(timeout_seconds)
        except TimeoutError:
            # Nobody waits any more: a queued event is dropped, a running one goes on as in Lambda.
            invocation.future.cancel()
            handler = self._program.handler
            raise TimeoutError(f"{handler} did not answer within {timeout_seconds} s") from None

    def handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Send one event and return its payload: a gateway's backend, or its authorizer.

        Raises:
            LambdaFunctionError: the function ended with an error.
            LambdaInitError: no process came up to take the event.
            TimeoutError: it took too long.
        """
        result = self.invoke(event)
        if result.error is not None:
            kind, message = result.error.get("errorType"), result.error.get("errorMessage")
            raise LambdaFunctionError(str(kind), str(message))
        payload: dict[str, Any] = result.payload
        return payload

    def wait_until_ready(self, timeout_seconds: float = 30.0) -> None:
        """Return when every process has finished its init.

        Raises:
            LambdaInitError: one did not.
            TimeoutError: they are not done yet.
        """

        def is_settled() -> bool:
            ready = sum(process.ready for process in self._processes)
            return self._init_error is not None or ready == self._instances

        with self._changed:
            if not self._changed.wait_for(is_settled, timeout_seconds):
                raise TimeoutError(f"{self._program.handler} is not up after {timeout_seconds} s")
            if self._init_error is not None:
                raise self._init_error

    @property
    def log_lines(self) -> list[str]:
        """Every line the processes have written to stdout and stderr, also after the end.

        They write into a file, not a pipe: whatever a handler wrote before it returned can be
        read as soon as `invoke` has returned.
        """
        content = self._log_path.read_bytes() if self._open else self._final_log
        return log_lines(content)

    @property
    def log_path(self) -> Path:
        """The file they write into; it lasts as long as the context, unless it was given."""
        return self._log_path

    @property
    def pids(self) -> list[int]:
        """The processes that live now."""
        with self._changed:
            return [process.popen.pid for process in self._processes]

    def _start_missing(self) -> None:
        while len(self._processes) < self._instances:
            self._init_error = None
            process = Process(self._program, self._queue, self._log_path)
            self._processes.append(process)
            watcher = threading.Thread(target=self._watch, args=(process,), daemon=True)
            watcher.start()
            self._watchers = [thread for thread in self._watchers if thread.is_alive()]
            self._watchers.append(watcher)

    def _watch(self, process: Process) -> None:
        """Wait for a process to end, and see to the events it leaves behind."""
        process.popen.wait()
        with self._changed:
            self._processes.remove(process)
            process.bury()
            if not process.ready:
                self._init_error = process.init_error()
                # While another process may still come up, the events wait for that one.
                if not self._processes:
                    self._queue.fail(self._init_error)
            elif self._queue and self._open:
                self._start_missing()
            self._changed.notify_all()
        process.close()

    def _close(self) -> None:
        with self._changed:
            self._open = False
            processes = list(self._processes)
            watchers = list(self._watchers)
            self._queue.fail(LambdaInitError("Closed", "the function was closed"))
        for process in processes:
            process.popen.terminate()
        end = time.monotonic() + _SHUTDOWN_SECONDS
        for watcher in watchers:
            watcher.join(max(0.0, end - time.monotonic()))
        for process in processes:
            process.popen.kill()  # does nothing where the process has ended
        for watcher in watchers:
            watcher.join()
        self._final_log = self._log_path.read_bytes()
        if self._given_log_path is None:
            self._log_path.unlink()
