"""The loopback gateway lets in, refuses and answers as a REST API does."""

import base64
import gc
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from tests.local.gateway import (
    MAX_BODY_BYTES,
    MAX_EVENT_BYTES,
    LoopbackGateway,
    PortTakenError,
)
from tests.local.http_client import KEY, Reply, ask, raw
from tests.local.lambda_runtime import LambdaFunction
from tests.local.proxy_events import method_arn

type Event = dict[str, Any]


def _echo(event: Event) -> dict[str, Any]:
    return {"statusCode": 200, "headers": {"X-Function": "echo"}, "body": json.dumps(event)}


def _allow(_event: Event) -> dict[str, Any]:
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": "Allow",
        "Resource": method_arn("*", "*"),
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "k1", "policyDocument": document, "context": {"key_id": "k1"}}


@pytest.fixture(scope="module")
def gateway() -> Iterator[LoopbackGateway]:
    with LoopbackGateway(_echo, _allow) as running:
        yield running


def test_the_function_gets_the_request_as_a_proxy_event(gateway: LoopbackGateway) -> None:
    reply = ask(
        gateway, path="/v1/x?a=1&a=2&B=", body='{"q": "日本"}'.encode(), headers={"Accept": "x/y"}
    )

    event = reply.json
    assert (reply.status, reply.headers["X-Function"]) == (200, "echo")
    assert (event["httpMethod"], event["path"]) == ("POST", "/v1/x")
    assert (event["body"], event["isBase64Encoded"]) == ('{"q": "日本"}', False)
    assert event["headers"]["Accept"] == "x/y"
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "B": [""]}
    assert event["queryStringParameters"] == {"a": "2", "B": ""}
    assert event["pathParameters"] == {"proxy": "v1/x"}
    assert event["requestContext"]["path"] == "/local/v1/x"
    assert event["requestContext"]["requestId"] == reply.headers["x-amzn-RequestId"]


def test_a_body_that_is_no_text_arrives_as_base64(gateway: LoopbackGateway) -> None:
    event = ask(gateway, body=b"\xff\x00").json

    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\xff\x00"


def test_headers_of_the_connection_stay_on_the_connection(gateway: LoopbackGateway) -> None:
    headers = {"Connection": "keep-alive, X-Hop", "X-Hop": "1", "TE": "trailers", "X-End": "2"}

    seen = {name.lower() for name in ask(gateway, headers=headers).json["multiValueHeaders"]}

    assert "x-end" in seen
    assert not seen & {"connection", "x-hop", "te"}


def test_a_body_at_the_limit_of_the_event_passes_and_one_byte_more_is_413() -> None:
    def size(event: Event) -> dict[str, Any]:
        return {"statusCode": 200, "body": str(len(json.dumps(event)))}

    with LoopbackGateway(size, _allow) as gateway:
        around = int(ask(gateway, body=b"x").body) - 1
        fits = MAX_EVENT_BYTES - around - 64
        assert ask(gateway, body=b"x" * fits).status == 200
        reply = ask(gateway, body=b"x" * MAX_EVENT_BYTES)

    assert reply.error == (413, "request_too_large")
    assert reply.json["error"]["message"] == TOO_LARGE


TOO_LARGE = "The request is too large: its body must stay below 6 MB."


def _head(*headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} /v1/x HTTP/1.1", "Host: x", f"Authorization: {KEY}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((f"Content-Length: {MAX_BODY_BYTES + 1}",), (413, "request_too_large")),
        (("Content-Length: " + "9" * 5000,), (413, "request_too_large")),
        ((), (411, "length_required")),
        (("Transfer-Encoding: chunked",), (411, "length_required")),
        (("Transfer-Encoding: chunked", "Content-Length: 2"), (411, "length_required")),
        (("Content-Length: -1",), (400, "bad_content_length")),
        (("Content-Length: +1",), (400, "bad_content_length")),
        (("Content-Length: 1_0",), (400, "bad_content_length")),
        (("Content-Length: two",), (400, "bad_content_length")),
        (("Content-Length:",), (400, "bad_content_length")),
        (("Content-Length: \xb2",), (400, "bad_content_length")),
        (("Content-Length: 1", "Content-Length: 2"), (400, "bad_content_length")),
        (
            (f"Content-Length: {MAX_BODY_BYTES + 1}", "Expect: 100-continue"),
            (413, "request_too_large"),
        ),
    ],
)
def test_a_body_without_an_honest_length_is_refused_before_it_is_read(
    gateway: LoopbackGateway, headers: tuple[str, ...], expected: tuple[int, str]
) -> None:
    reply = raw(gateway, _head(*headers))

    assert reply.error == expected
    assert reply.headers["Connection"] == "close"


def test_a_client_that_sends_far_too_much_still_gets_the_answer(gateway: LoopbackGateway) -> None:
    reply = ask(gateway, body=b"x" * (MAX_BODY_BYTES + 1))

    assert reply.error == (413, "request_too_large")
    assert reply.json["error"]["message"] == TOO_LARGE


def test_equal_lengths_sent_twice_are_one_length(gateway: LoopbackGateway) -> None:
    request = _head("Content-Length: 2", "Content-Length: 2", "Connection: close") + b"{}"

    assert raw(gateway, request).json["body"] == "{}"


def test_a_request_without_a_body_needs_no_length(gateway: LoopbackGateway) -> None:
    reply = raw(gateway, _head("Connection: close", method="GET"))

    assert reply.json["body"] is None


def test_a_client_that_waits_for_the_go_on_gets_it(gateway: LoopbackGateway) -> None:
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=20)) as connection:
        connection.sendall(_head("Content-Length: 2", "Expect: 100-continue", "Connection: close"))
        with closing(connection.makefile("rb")) as answer:
            assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
            connection.sendall(b"{}")
            assert b"HTTP/1.1 200 OK" in answer.read()


def test_garbage_instead_of_http_is_refused_in_the_same_shape(gateway: LoopbackGateway) -> None:
    assert raw(gateway, b"GET /a b c HTTP/1.1\r\n\r\n").error == (400, "bad_request")
    assert raw(gateway, b"BREW / HTTP/1.1\r\n\r\n").error == (501, "not_implemented")
    assert raw(gateway, _head("A: " + "a" * 70_000)).error[0] == 431


def test_a_client_that_hangs_up_in_the_middle_never_reaches_the_function() -> None:
    events: list[Event] = []

    def backend(event: Event) -> dict[str, Any]:
        events.append(event)
        return _echo(event)

    with LoopbackGateway(backend, _allow) as gateway:
        with closing(socket.create_connection(("127.0.0.1", gateway.port))) as connection:
            connection.sendall(_head("Content-Length: 10") + b"half")
        assert ask(gateway, body=b"whole").status == 200

    assert [event["body"] for event in events] == ["whole"]


def test_many_requests_share_a_connection(gateway: LoopbackGateway) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as connection:
        connection.connect()
        sock = connection.sock
        for key, status in ((KEY, 200), ("", 401), (KEY, 200)):
            connection.request("POST", "/v1/x", b"{}", {"Authorization": key})
            assert Reply(connection.getresponse()).status == status
            assert connection.sock is sock


def test_an_answer_over_the_time_limit_is_504() -> None:
    release = threading.Event()

    def slow(event: Event) -> dict[str, Any]:
        release.wait(20)
        return _echo(event)

    with LoopbackGateway(slow, _allow, timeout_seconds=0.05) as gateway:
        reply = ask(gateway)
        release.set()

    assert reply.error == (504, "timeout")


@pytest.mark.parametrize(
    "response",
    [
        None,
        "text",
        {},
        {"statusCode": "200"},
        {"statusCode": True},
        {"statusCode": 99},
        {"statusCode": 600},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "?", "isBase64Encoded": True},
        {"statusCode": 200, "body": "\ud800"},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"A": None}},
        {"statusCode": 200, "headers": {"A": "b\r\nSet-Cookie: c"}},
        {"statusCode": 200, "headers": {"A b": "c"}},
        {"statusCode": 200, "headers": {"A": "日本"}},
        {"statusCode": 200, "multiValueHeaders": {"A": "b"}},
    ],
)
def test_a_malformed_response_is_502(response: Any) -> None:
    with LoopbackGateway(lambda _event: response, _allow) as gateway:
        assert ask(gateway).error == (502, "bad_gateway")


def test_a_function_that_fails_is_502_and_its_message_stays_inside() -> None:
    def backend(_event: Event) -> dict[str, Any]:
        raise ValueError("the prompt was ...")

    with LoopbackGateway(backend, _allow) as gateway:
        reply = ask(gateway)

    assert reply.error == (502, "bad_gateway")
    assert b"prompt" not in reply.body


def test_status_headers_and_bytes_of_the_function_reach_the_client() -> None:
    response = {
        "statusCode": 429,
        "headers": {"Retry-After": 3, "X-Both": "lost", "Connection": "upgrade"},
        "multiValueHeaders": {"x-both": ["1", "2"], "Content-Length": ["999"]},
        "body": base64.b64encode(b"\xff\x00").decode(),
        "isBase64Encoded": True,
    }
    with LoopbackGateway(lambda _event: response, _allow) as gateway:
        reply = ask(gateway)

    assert (reply.status, reply.body) == (429, b"\xff\x00")
    assert reply.headers["Retry-After"] == "3"
    assert reply.headers.get_all("X-Both") == ["1", "2"]
    assert reply.headers["Content-Length"] == "2"
    assert reply.headers["Connection"] is None
    assert reply.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_ends_with_its_head(method: str, status: int) -> None:
    response = {"statusCode": status, "body": "text"}
    with (
        LoopbackGateway(lambda _event: response, _allow) as gateway,
        closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=20)) as connection,
        closing(connection.makefile("rb")) as answer,
    ):
        connection.sendall(_head("Connection: close", method=method))
        head, _, body = answer.read().partition(b"\r\n\r\n")

    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"Content-Length: 4" in head) == (method == "HEAD")
    assert body == b""


def test_a_taken_port_is_named_with_its_cure(gateway: LoopbackGateway) -> None:
    second = LoopbackGateway(_echo, _allow, port=gateway.port)

    with pytest.raises(PortTakenError, match=f"{gateway.port} is taken: stop .* PORT="), second:
        pass

    assert ask(gateway).status == 200
    gc.collect()  # an open socket left behind would warn now


def test_leaving_hangs_up_on_idle_clients_and_on_whoever_waits() -> None:
    entered, release = threading.Event(), threading.Event()

    def stuck(event: Event) -> dict[str, Any]:
        entered.set()
        release.wait()
        return _echo(event)

    with ThreadPoolExecutor(1) as pool:
        with LoopbackGateway(stuck, _allow, timeout_seconds=3600) as gateway:
            idle = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
            waiting = pool.submit(ask, gateway)
            entered.wait(20)
        # Not before: leaving must not wait for a function that never answers.
        release.set()
        with closing(idle):
            assert idle.recv(1) == b""
        # Either the answer was faster than the hanging up, or it was not.
        assert waiting.exception(20) or waiting.result().error == (502, "bad_gateway")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gateway.port), timeout=5)


def test_a_real_function_answers_through_the_gateway() -> None:
    with (
        LambdaFunction("tests.local.echo_function.proxy", {}) as function,
        LoopbackGateway(function.handle, _allow) as gateway,
    ):
        reply = ask(gateway, body='{"q": "日本"}'.encode())

    assert reply.status == 200
    assert reply.json["body"] == '{"q": "日本"}'
    assert reply.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
