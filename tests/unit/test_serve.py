"""`make serve`: its greeting can be pasted into a shell, and a bad port is one clear line."""

import json
import os
import shlex
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.local.aws import LoopbackAws
from tests.local.serve import BODY, find_objection, greeting, main, stop_on_signals

URL, KEY, LOG = "http://127.0.0.1:8080", "rg-abc-def", Path("/tmp/a folder/x.log")  # noqa: S108
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def lines() -> list[str]:
    aws = {**LoopbackAws().environment(), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    return greeting(URL, KEY, ("haiku", "sonnet"), aws, LOG)


@pytest.fixture
def commands(lines: list[str]) -> list[list[str]]:
    """The words of each command, as a shell splits them."""
    return [shlex.split(line) for line in lines if line.startswith("  ") and line[2] != " "]


def test_what_is_exported_is_what_the_commands_need(commands: list[list[str]]) -> None:
    exported = [words[1:] for words in commands if words[0] == "export"]

    assert exported == [
        [f"URL={URL}", f"KEY={KEY}"],
        [
            "AWS_ENDPOINT_URL=http://127.0.0.1:9",
            "AWS_DEFAULT_REGION=ap-northeast-1",
            "AWS_ACCESS_KEY_ID=loopback",
            "AWS_SECRET_ACCESS_KEY=loopback",
        ],
    ]


def test_one_curl_asks_and_the_other_asks_why(commands: list[list[str]]) -> None:
    curls = [words for words in commands if words[0] == "curl"]

    assert [words[2] for words in curls] == ["$URL/v1/chat/completions", "$URL/v1/route"]
    for words in curls:
        assert words[3:6] == ["-H", "Authorization: Bearer $KEY", "-d"]
        assert json.loads(words[6]) == BODY


def test_the_log_s_path_survives_the_shell(commands: list[list[str]]) -> None:
    assert commands[-1] == ["tail", "-f", str(LOG)]


def test_keys_table_and_pointer_are_named(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert "regroup keys --table keys" in text
    assert "--to s3://artifacts/regroup/pointer.json" in text


@pytest.mark.parametrize(
    "port", ["0", "65536", "70000", "-1", "abc", "", "8_080", "１", "9" * 5000, "80.5"]
)
def test_what_is_no_port_is_refused_in_one_line(port: str) -> None:
    with pytest.raises(
        SystemExit, match=r"^make serve: PORT is .{1,22}; give a number from 1 to 65535$"
    ):
        main([f"--port={port}"])


def test_a_taken_port_is_refused_with_another_that_can_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        cure = f"choose another: make serve PORT={port + 1}"
        assert find_objection(str(port)) == f"port {port} is taken; {cure}"
    assert find_objection(str(port)) is None


def test_the_last_port_has_no_next_one() -> None:
    with ExitStack() as stack:
        with suppress(OSError):  # whoever holds it, it is taken
            stack.enter_context(socket.create_server(("127.0.0.1", 65_535)))
        objection = find_objection("65535")

    assert objection == "port 65535 is taken; choose another: make serve PORT=8080"


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_stops_it(number: signal.Signals) -> None:
    signal.signal(signal.SIGHUP, lambda *_: None)  # pytest may run under nohup
    stop = threading.Event()
    stop_on_signals(stop)

    os.kill(os.getpid(), number)

    assert stop.wait(5)


@pytest.mark.usefixtures("handlers")
def test_under_nohup_a_closed_terminal_does_not_stop_it() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = threading.Event()
    stop_on_signals(stop)

    os.kill(os.getpid(), signal.SIGHUP)

    assert not stop.is_set()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
