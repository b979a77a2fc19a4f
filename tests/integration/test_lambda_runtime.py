"""LambdaFunction behaves as Lambda does, and never lets a caller wait for nothing."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.local.lambda_runtime import (
    MAX_RESPONSE_BYTES,
    InvokeResult,
    LambdaFunction,
    LambdaFunctionError,
    LambdaInitError,
)

_HANDLERS = "tests.local.echo_function"


@pytest.fixture(scope="module")
def echo() -> Iterator[LambdaFunction]:
    with LambdaFunction(
        f"{_HANDLERS}.echo", {"GREETING": "hello"}, name="echo", memory_mb=512
    ) as function:
        yield function


def test_a_handler_gets_the_event_and_its_answer_comes_back(echo: LambdaFunction) -> None:
    event = {"text": "日本語 \u2028", "nested": {"list": [1, None, 2.5]}}

    result = echo.invoke(event)

    assert result.error is None
    assert result.payload["event"] == event
    assert result.payload["request_id"] == result.request_id


def test_a_handler_sees_the_context_of_a_real_function(echo: LambdaFunction) -> None:
    seen = echo.invoke({}).payload

    assert seen["function_name"] == "echo"
    assert seen["memory_mb"] == 512
    assert seen["arn"].endswith(":function:echo")
    assert 25_000 < seen["remaining_ms"] <= 29_000


def test_a_process_sees_only_the_variables_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DEVELOPER", "1")
    with LambdaFunction(f"{_HANDLERS}.echo", {"GREETING": "hello"}) as function:
        seen = function.invoke({}).payload["environment"]

    assert seen["GREETING"] == "hello"
    assert "SECRET_OF_THE_DEVELOPER" not in seen
    assert "PYTHONPATH" not in seen
    assert "PATH" not in seen
    assert seen["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert seen["_HANDLER"] == f"{_HANDLERS}.echo"


def test_events_of_many_callers_go_through_one_process_and_none_is_mixed_up(
    echo: LambdaFunction,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        payloads = list(pool.map(lambda n: echo.invoke({"n": n}).payload, range(64)))

    assert [payload["event"]["n"] for payload in payloads] == list(range(64))
    assert len({payload["pid"] for payload in payloads}) == 1


def test_two_instances_work_at_the_same_time(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with (
        LambdaFunction(f"{_HANDLERS}.meet", {}, instances=2) as function,
        ThreadPoolExecutor(2) as pool,
    ):
        events = [{"fifo": str(fifo), "write": write} for write in (True, False)]
        results = list(pool.map(function.invoke, events))

    assert [result.payload for result in results] == ["met", "met"]


def test_one_instance_takes_one_event_at_a_time(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with (
        LambdaFunction(f"{_HANDLERS}.meet", {}, timeout_seconds=0.5) as function,
        ThreadPoolExecutor(2) as pool,
    ):
        events = [{"fifo": str(fifo), "write": write} for write in (True, False)]
        results = list(pool.map(function.invoke, events))

    assert [(result.error or {}).get("errorType") for result in results] == ["Sandbox.Timedout"] * 2


def test_an_exception_comes_back_with_type_and_message_and_the_process_lives_on() -> None:
    with LambdaFunction(f"{_HANDLERS}.fail", {}) as function:
        function.wait_until_ready()
        pids = function.pids
        error = function.invoke({"message": "no luck"}).error
        with pytest.raises(LambdaFunctionError, match=r"^again$") as caught:
            function.handle({"message": "again"})

        assert function.pids == pids

    assert error is not None
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no luck")
    assert caught.value.error_type == "ValueError"


def test_whatever_a_handler_logged_can_be_read_when_invoke_returns(tmp_path: Path) -> None:
    count = 3_000  # 300 kB: more than a pipe holds
    with LambdaFunction(f"{_HANDLERS}.log", {}, log_path=tmp_path / "log") as function:
        assert function.invoke({"count": count}).payload == count
        lines = function.log_lines

    assert sum(line.startswith('{"number"') for line in lines) == count
    assert "to stderr" in lines
    assert function.log_lines == lines
    assert (tmp_path / "log").exists()


def test_a_temporary_log_does_not_stay_behind() -> None:
    with LambdaFunction(f"{_HANDLERS}.log", {}) as function:
        function.invoke({"count": 1})
        path = function._log_path
        assert path.exists()

    assert not path.exists()
    assert len(function.log_lines) == 2


@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        ("tests.local.broken_function.handler", "RuntimeError", "CATALOG_URI is not set"),
        ("tests.local.nowhere.handler", "Runtime.ImportModuleError", "nowhere"),
        (f"{_HANDLERS}.nothing", "Runtime.HandlerNotFound", "nothing"),
    ],
)
def test_an_init_error_reaches_the_caller_with_its_reason(
    handler: str, kind: str, message: str
) -> None:
    with LambdaFunction(handler, {}) as function, pytest.raises(LambdaInitError) as caught:
        function.invoke({})

    assert caught.value.error_type == kind
    assert message in caught.value.message


def test_a_process_that_ends_during_init_tells_status_and_last_words() -> None:
    variables = {"EXIT_CODE": "9"}
    with LambdaFunction("tests.local.broken_function.handler", variables) as function:
        with pytest.raises(LambdaInitError, match=r"(?s)status 9.*last words"):
            function.wait_until_ready()
        with pytest.raises(LambdaInitError, match=r"(?s)status 9.*last words"):
            function.invoke({})


def test_an_init_error_reaches_every_caller_that_waits() -> None:
    broken = LambdaFunction("tests.local.broken_function.handler", {}, instances=2)
    with broken as function, ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(function.invoke, {}) for _ in range(4)]
        errors = [future.exception() for future in waiting]

    assert [getattr(error, "error_type", None) for error in errors] == ["RuntimeError"] * 4


def test_a_function_comes_up_once_the_cause_of_its_init_error_is_mended(tmp_path: Path) -> None:
    cause = tmp_path / "cause"
    with LambdaFunction("tests.local.broken_function.handler", {"ONCE": str(cause)}) as function:
        with pytest.raises(LambdaInitError, match="status 3"):
            function.invoke({})
        cause.touch()

        assert function.invoke({}).payload == "up"


def test_a_process_that_dies_fails_its_event_and_is_replaced_for_the_next() -> None:
    with LambdaFunction(f"{_HANDLERS}.die", {}) as function:
        first = function.invoke({}).payload
        error = function.invoke({"die": True}).error
        second = function.invoke({}).payload

    assert error is not None
    assert error["errorType"] == "Runtime.ExitError"
    assert "exit status 7" in error["errorMessage"]
    assert first != second
    assert "dying" in function.log_lines


def test_events_that_wait_behind_a_death_are_served_by_the_next_process() -> None:
    with LambdaFunction(f"{_HANDLERS}.die", {}) as function, ThreadPoolExecutor(6) as pool:
        function.wait_until_ready()
        results = list(pool.map(function.invoke, [{"die": n % 2 == 0} for n in range(6)]))

    assert [result.error is not None for result in results] == [True, False] * 3


def test_a_handler_over_its_time_is_killed_and_replaced() -> None:
    with LambdaFunction(f"{_HANDLERS}.hang", {}, timeout_seconds=0.5) as function:
        function.wait_until_ready()
        error = function.invoke({"hang": True}).error

        assert function.invoke({}).payload == "done"

    assert error is not None
    assert error["errorType"] == "Sandbox.Timedout"
    assert "timed out after 0.50 seconds" in error["errorMessage"]


def test_a_caller_without_patience_is_let_go_and_its_waiting_event_is_dropped() -> None:
    with LambdaFunction(f"{_HANDLERS}.log", {}) as function:
        with pytest.raises(TimeoutError, match="did not answer within 0 s"):
            function.invoke({"count": 5}, timeout_seconds=0)

        assert function.invoke({"count": 0}).payload == 0
    assert function.log_lines == ["to stderr"]


def test_a_response_over_lambdas_limit_is_an_error() -> None:
    with LambdaFunction(f"{_HANDLERS}.large", {}) as function:
        fits = function.invoke({"size_bytes": MAX_RESPONSE_BYTES - 2})  # two quotes
        error = function.invoke({"size_bytes": MAX_RESPONSE_BYTES - 1}).error

        assert function.invoke({"size_bytes": 1}).payload == "x"

    assert len(fits.payload) == MAX_RESPONSE_BYTES - 2
    assert error is not None
    assert error["errorType"] == "Function.ResponseSizeTooLarge"


def test_leaving_ends_the_processes_and_lets_go_of_whoever_waits() -> None:
    started = threading.Event()

    def call(function: LambdaFunction) -> InvokeResult:
        started.set()
        return function.invoke({"hang": True})

    with ThreadPoolExecutor(1) as pool:
        with LambdaFunction(f"{_HANDLERS}.hang", {}) as function:
            function.wait_until_ready()
            waiting = pool.submit(call, function)
            started.wait()
            pids = function.pids

        end = waiting.exception() or waiting.result().error
    assert end
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(RuntimeError, match="not open"):
        function.invoke({})


def test_a_folder_that_is_not_there_fails_at_once_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    function = LambdaFunction(f"{_HANDLERS}.echo", {}, cwd=tmp_path / "none")

    with pytest.raises(FileNotFoundError), function:
        pass

    assert not function._log_path.exists()
