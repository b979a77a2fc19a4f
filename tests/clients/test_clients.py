"""Existing clients change their base URL and key, and work: all that they are used for."""

import json
import os
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.local.hostile_bodies import data_url
from tests.local.stack import ROOT, LocalStack

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv-compat/bin/python"
CLIENTS = ("openai_sdk", "litellm_sdk", "langchain_sdk")

OFFLINE = {
    # LiteLLM would fetch prices, LangSmith would be sent every prompt.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "DO_NOT_TRACK": "1",
}
"""Their variables; no proxy and no key of the shell's is passed on."""


def png(width: int = 2, height: int = 2) -> bytes:
    """Return a white picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xff" * 3 * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def object_of(**kinds: str) -> dict[str, Any]:
    """Return the JSON schema of an object whose fields are all required."""
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in kinds.items()},
        "required": list(kinds),
        "additionalProperties": False,
    }


TASK = {
    "question": "What is 12 times 7?",
    "errand": "Use get_weather for Kyoto.",
    "tool": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": object_of(city="string"),
    },
    "tool_result": "22 degrees and rain",
    "image": data_url(png()),
    "schema": object_of(city="string", degrees="number"),
}


@pytest.fixture(scope="module")
def stack(small_router: tuple[Path, str]) -> Iterator[LocalStack]:
    with LocalStack(artifact=small_router[0], streams=True) as running:
        yield running


@pytest.fixture(scope="module")
def reports(stack: LocalStack) -> dict[str, dict[str, Any]]:
    """What each client reported, by its name; they take seconds to load, so each runs once."""
    return {name: report_of(name, stack) for name in CLIENTS}


def report_of(name: str, stack: LocalStack) -> dict[str, Any]:
    if not (ROOT / ".venv-compat/.ready").exists():
        pytest.fail("run `make test-clients`: it builds .venv-compat")
    done = run(HERE / f"{name}.py", TASK | {"url": stack.url, "key": stack.key})
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def run(script: Path, task: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PYTHON), "-I", str(HERE / "run.py"), str(script)],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **OFFLINE},
    )


@pytest.fixture(params=CLIENTS)
def report(request: pytest.FixtureRequest, reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name: str = request.param
    return reports[name]


@pytest.fixture
def results(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = report["results"]
    return found


def test_it_connects_to_the_server_and_to_nothing_else(
    report: dict[str, Any], stack: LocalStack
) -> None:
    assert report["refused"] == []
    address = urlsplit(stack.url)
    assert {a for a in report["connected"] if ":" in a} == {f"{address.hostname}:{address.port}"}


def test_it_chats(results: dict[str, Any]) -> None:
    chat = results["chat"]
    assert TASK["question"] in chat["text"]
    assert chat["finish_reason"] == "stop"
    assert chat["total_tokens"] > 0
    assert chat["model"] == chat["routed_model"] == "nova-lite"


def test_it_has_a_tool_called_and_sends_the_result_back(results: dict[str, Any]) -> None:
    tool = results["tool"]
    assert tool["finish_reason"] == "tool_calls"
    assert (tool["name"], tool["arguments"]) == ("get_weather", {"city": "text"})
    assert TASK["tool_result"] in tool["answer"]


def test_it_shows_an_image(results: dict[str, Any]) -> None:
    assert f"images: 1, bytes: {len(png())}" in results["image"]


def test_it_gets_json_of_a_form(results: dict[str, Any]) -> None:
    assert results["json"] == {"city": "text", "degrees": 1.5}


def test_it_streams_with_usage(results: dict[str, Any]) -> None:
    stream = results["stream"]
    assert stream["text"] == results["chat"]["text"]
    assert stream["total_tokens"] == results["chat"]["total_tokens"]
    assert stream["pieces"] > 3


def test_the_openai_sdk_reads_the_rest_of_the_api(reports: dict[str, dict[str, Any]]) -> None:
    results = reports["openai_sdk"]["results"]
    assert results["named"] == "haiku"
    assert results["explained"] in {"learned", "default", "session"}
    assert results["parsed"] == {"city": "text", "degrees": 1.5}
    assert results["streamed_tool"] == {"name": "get_weather", "arguments": {"city": "text"}}
    assert {"regroup", "regroup-economy", "nova-lite"} <= set(results["models"])


def test_the_openai_sdk_reads_errors(reports: dict[str, dict[str, Any]]) -> None:
    assert reports["openai_sdk"]["results"]["errors"] == {
        "key": "AuthenticationError invalid_api_key",
        "model": "NotFoundError model_not_found",
        "remote image": "UnprocessableEntityError remote_image",
        "broken image": "BadRequestError invalid_image",
        "temperature": "BadRequestError invalid_field",
        "feature": "UnprocessableEntityError unsupported_feature",
    }


def test_langchain_gets_an_object_by_a_tool_that_must_be_called(
    reports: dict[str, dict[str, Any]],
) -> None:
    assert reports["langchain_sdk"]["results"]["called_json"] == {"city": "text", "degrees": 1.5}


@pytest.mark.parametrize(
    ("name", "errors"),
    [
        ("litellm_sdk", {"key": "AuthenticationError", "model": "NotFoundError"}),
        (
            "langchain_sdk",
            {
                "key": "OpenAIAuthenticationError invalid_api_key",
                "model": "OpenAIModelNotFoundError model_not_found",
            },
        ),
    ],
)
def test_the_others_read_a_wrong_key_and_a_wrong_model(
    reports: dict[str, dict[str, Any]], name: str, errors: dict[str, str]
) -> None:
    assert reports[name]["results"]["errors"] == errors


ELSEWHERE = """
import asyncio, socket, urllib.request

def results(task):
    for ask in (
        lambda: urllib.request.urlopen("http://example.com/", timeout=1),
        lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("192.0.2.2", 53)),
        lambda: asyncio.run(asyncio.open_connection("192.0.2.3", 80)),
    ):
        try:
            ask()
        except OSError:
            continue
        raise AssertionError("got out")
"""


def test_what_would_connect_elsewhere_is_refused_and_reported(tmp_path: Path) -> None:
    script = tmp_path / "elsewhere.py"
    script.write_text(ELSEWHERE)
    done = run(script, {})
    assert done.returncode == 0, done.stderr
    refused = json.loads(done.stdout)["refused"]
    assert {name.partition(":")[0] for name in refused} == {
        "example.com",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    }
