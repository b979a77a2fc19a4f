"""Streams as `make serve` sends them: piece by piece, as the candidate does."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.local.api_client import decisions, post
from tests.local.bedrock import Stall
from tests.local.stack import LocalStack

BODY = {
    "model": "haiku",
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "Say a few words about gardening, please."}],
}


@pytest.fixture(scope="module")
def stack(small_router: tuple[Path, str]) -> Iterator[LocalStack]:
    with LocalStack(artifact=small_router[0], streams=True) as running:
        yield running


def open_stream(stack: LocalStack) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    address = urlsplit(stack.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    headers = {"Authorization": f"Bearer {stack.key}"}
    connection.request("POST", "/v1/chat/completions", json.dumps(BODY), headers)
    return connection, connection.getresponse()


def test_pieces_arrive_while_the_candidate_is_still_speaking(stack: LocalStack) -> None:
    model_id = stack.catalog.candidates["haiku"].invoke_id
    stack.bedrock.plan(model_id, [Stall(after_events=4, seconds=2)])
    before = len(decisions(stack))
    connection, answer = open_stream(stack)
    with closing(connection):
        first = answer.readline()
        # The line is written when the answer ends, and it has not.
        assert len(decisions(stack)) == before
        events = [first, *answer.readlines()]
    assert answer.getheader("content-type") == "text/event-stream; charset=utf-8"
    assert answer.getheader("x-regroup-model") == "haiku"
    payloads = [e.removeprefix(b"data: ").strip() for e in events if e.strip()]
    assert payloads[-1] == b"[DONE]"
    *chunks, usage = [json.loads(payload) for payload in payloads[:-1]]
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > 0
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert "Say a few words about gardening" in text
    assert len(chunks) > 5
    assert decisions(stack)[-1]["status"] == 200


def test_what_is_no_stream_is_answered_whole(stack: LocalStack) -> None:
    reply = post(stack, "/v1/chat/completions", {**BODY, "stream": False, "stream_options": None})
    assert reply.status == 200
    assert reply.json["choices"][0]["finish_reason"] == "stop"
    assert post(stack, "/v1/chat/completions", {"messages": []}).status == 400
