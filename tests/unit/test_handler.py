"""The Lambda proxy adapter: an API Gateway event in, its response out."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.bootstrap import Application
from classifier.handler import handle, proxy_response, request_of
from classifier.http import Api, Request, Response
from classifier.snapshot import Snapshot
from regroup.adapters.telemetry import PowertoolsTelemetry
from regroup.domain.chat import TextDelta
from regroup.domain.fallback import Deadline
from tests.local.fakes import ANSWER, PATIENT
from tests.local.proxy_events import proxy_event
from tests.local.world import World, chat_body, small_world

PATH = "/v1/chat/completions"
SOON = Deadline(1.0)
JSON_BODY = json.dumps(chat_body("こんにちは"), ensure_ascii=False).encode()


@dataclass(slots=True)
class FakeContext:
    """Lambda's context as far as the handler looks at it."""

    remaining_ms: int = 29_000
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        """Return what was given."""
        return self.remaining_ms


def event_of(
    body: bytes, /, *, authorizer: Mapping[str, Any] | None = None, **changes: object
) -> dict[str, Any]:
    event = proxy_event("POST", PATH, {}, body, authorizer=authorizer, request_id="request-1")
    return event | changes


def application(api: Api) -> Application:
    """Return one that no snapshot is taken of."""
    snapshot = Snapshot(lambda: None, lambda: None, lambda _seconds: None)
    return Application(api, PowertoolsTelemetry(component=uuid4().hex), snapshot)


def respond(
    world: World, event: Mapping[str, Any], *, remaining_ms: int = 29_000, now: float = 0.0
) -> dict[str, Any]:
    """Handle one event; the deadline is on this process's clock, `now` on the service's."""
    world.clock.monotonic = now
    return handle(application(world.api), event, FakeContext(remaining_ms))


@pytest.mark.parametrize(
    ("event", "body"),
    [
        (event_of(JSON_BODY), JSON_BODY),
        (event_of(b""), b""),
        (event_of(b"", body=""), b""),
        (event_of(b"", body=None, isBase64Encoded=True), b""),
        (event_of(b"\xff\xfe"), b"\xff\xfe"),
        (
            event_of(b"", body=base64.b64encode(JSON_BODY).decode(), isBase64Encoded=True),
            JSON_BODY,
        ),
        # What is not base64 is taken as it came.
        (event_of(b"", body="not base64!", isBase64Encoded=True), b"not base64!"),
        (event_of(b"", body="abcde", isBase64Encoded=True), b"abcde"),
        (event_of(b"", body="日本", isBase64Encoded=True), "日本".encode()),
        (event_of(b"", body="half \ud83d"), b"half \xed\xa0\xbd"),
    ],
    ids=[
        "text",
        "none",
        "empty text",
        "none in base64",
        "bytes",
        "base64",
        "no base64",
        "base64 cut off",
        "base64 in Japanese",
        "half a surrogate pair",
    ],
)
def test_the_body_arrives_byte_by_byte(event: dict[str, Any], body: bytes) -> None:
    request = request_of(event, SOON)
    assert (request.method, request.path, request.body) == ("POST", PATH, body)
    assert request.deadline is SOON


@PATIENT
@given(st.binary())
def test_any_bytes_survive_the_event(body: bytes) -> None:
    assert request_of(event_of(body), SOON).body == body


@PATIENT
@given(st.text(st.characters()), st.booleans())
def test_no_body_text_breaks_the_adapter(text: str, encoded: bool) -> None:
    request = request_of(event_of(b"", body=text, isBase64Encoded=encoded), SOON)
    assert small_world().handle(request.body).status in {400, 422}


@pytest.mark.parametrize(
    ("authorizer", "key_id"),
    [
        ({"key_id": "key-1", "principalId": "key-1"}, "key-1"),
        ({"principalId": "someone"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_key_is_the_one_the_authorizer_found(
    authorizer: dict[str, str] | None, key_id: str | None
) -> None:
    assert request_of(event_of(b"", authorizer=authorizer), SOON).key_id == key_id


@pytest.mark.parametrize("context", [None, {}, {"authorizer": None}])
def test_an_event_without_an_authorizer_has_no_key(context: object) -> None:
    assert request_of(event_of(b"", requestContext=context), SOON).key_id is None


def test_a_header_or_query_cannot_pass_for_a_key() -> None:
    event = event_of(b"", headers={"key_id": "forged"}, queryStringParameters={"key_id": "forged"})
    assert request_of(event, SOON).key_id is None


def test_the_pieces_of_a_response_are_joined_into_text() -> None:
    halves = "日".encode()
    response = Response(201, {"x-one": "1"}, iter([b"a", halves[:1], halves[1:], b"\n\n"]))
    assert proxy_response(response) == {
        "statusCode": 201,
        "headers": {"x-one": "1"},
        "body": "a日\n\n",
        "isBase64Encoded": False,
    }


def test_a_request_is_answered_with_status_headers_and_utf_8() -> None:
    world = small_world()
    world.chat_model.plan("medium", [TextDelta("晴れ 😀"), *ANSWER[2:]])

    answer = respond(world, event_of(JSON_BODY, authorizer={"key_id": "key-1"}))

    assert json.loads(json.dumps(answer)) == answer
    assert answer["statusCode"] == 200
    assert answer["headers"]["x-regroup-model"] == "medium"
    assert answer["headers"]["content-type"] == "application/json"
    assert "晴れ 😀" in answer["body"]
    assert world.encoder.texts == ["こんにちは"]
    assert world.line["key_id"] == "key-1"


def test_a_stream_is_joined() -> None:
    answer = respond(small_world(), event_of(json.dumps(chat_body(stream=True)).encode()))
    assert answer["headers"]["content-type"].startswith("text/event-stream")
    assert answer["body"].endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        (event_of(b""), 400, "empty_body"),
        (event_of(b"\xff"), 400, "invalid_json"),
        (event_of(b"", body="=", isBase64Encoded=True), 400, "invalid_json"),
        (event_of(JSON_BODY, path="/nowhere"), 404, "unknown_path"),
        (event_of(JSON_BODY, httpMethod="GET"), 404, "unknown_method"),
    ],
)
def test_wrong_events_get_the_apis_own_errors(
    event: dict[str, Any], status: int, code: str
) -> None:
    answer = respond(small_world(), event)
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (status, code)


def test_health_is_answered() -> None:
    event = proxy_event("GET", "/healthz", authorizer=None, request_id="request-1")
    answer = respond(small_world(), event)
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, "ok")


@pytest.mark.parametrize(("remaining_ms", "status"), [(2_000, 504), (3_500, 200)])
def test_two_seconds_are_kept_back_from_the_time_lambda_leaves(
    remaining_ms: int, status: int
) -> None:
    world = small_world()
    answer = respond(world, event_of(JSON_BODY), remaining_ms=remaining_ms, now=time.monotonic())
    assert answer["statusCode"] == status


def test_each_invocation_writes_its_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    respond(small_world(), event_of(b""))
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "regroup"


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter without any environment."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_importing_the_handlers_needs_no_environment_and_does_nothing() -> None:
    program = (
        "import threading\n"
        "import classifier.handler, collector.handler\n"
        "print(collector.handler.application.cache_info().currsize, threading.active_count())"
    )
    run = python(program)
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "0 1", "")


@pytest.mark.parametrize(
    ("module", "variable"),
    [("classifier.entry", "CATALOG_URI"), ("collector.entry", "SAMPLE_BUCKET")],
)
def test_importing_an_entry_without_its_settings_names_what_is_missing(
    module: str, variable: str
) -> None:
    run = python(f"import {module}")
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith(f"regroup.errors.ConfigurationError: {variable} is not set")


def test_a_mistake_of_ours_is_a_500_whose_text_reaches_neither_caller_nor_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(Api):
        def handle(self, request: Request) -> Response:
            raise ValueError("canary-51d: " + request.body.decode())

    world = small_world()
    app = application(Broken(world.service, world.api.feedback))
    answer = handle(app, event_of(b'{"secret": "canary-51d"}'), FakeContext())
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["error"]["code"] == "internal_error"
    printed = capsys.readouterr().out
    assert "canary-51d" not in printed + answer["body"]
    assert "ValueError" in printed
    assert "InternalErrors" in printed
