"""Hostile and huge bodies over real HTTP, through the gateway: refused in our words, or served."""

import http.client
import json
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.local.api_client import Reply, decisions, post
from tests.local.hostile_bodies import HOSTILE, PNG, VALID, Refusal, data_url, image_body, said
from tests.local.stack import LocalStack

MB = 1024 * 1024


def send(stack: LocalStack, body: bytes, **headers: str) -> Reply:
    """Send a body with the key and any other headers."""
    address = urlsplit(stack.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    known = {"Authorization": f"Bearer {stack.key}", "Content-Type": "application/json"}
    with closing(connection):
        connection.request("POST", "/v1/chat/completions", body, known | headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, answer.read())


def refusal_of(reply: Reply) -> Refusal:
    """Look at the shape that OpenAI's clients read, and return status and code."""
    error = reply.json["error"]
    assert error.keys() == {"message", "type", "code", "param"}
    assert error["message"].endswith(".")
    assert reply.headers["content-type"] == "application/json"
    return reply.status, error["code"]


@pytest.mark.parametrize(("body", "refusal"), HOSTILE.values(), ids=HOSTILE)
def test_it_is_refused_in_our_words_and_no_model_is_asked(
    stack: LocalStack, body: bytes, refusal: Refusal
) -> None:
    asked = len(stack.bedrock.calls)
    assert refusal_of(send(stack, body)) == refusal
    assert len(stack.bedrock.calls) == asked


@pytest.mark.parametrize("size", [6 * MB, 7 * MB, 10 * MB, 10 * MB + 1, 11 * MB])
@pytest.mark.parametrize("valid", [True, False], ids=["valid", "noise"])
def test_a_body_that_is_too_large_is_refused(stack: LocalStack, size: int, valid: bool) -> None:
    filler = size - len(said('""'))
    body = said(f'"{"x" * filler}"') if valid else b"\xff" * size
    assert len(body) == size
    assert refusal_of(send(stack, body)) == (413, "request_too_large")
    # The connection and the function are as good as before.
    assert send(stack, VALID).status == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"messages=hello", "application/x-www-form-urlencoded"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n', "multipart/x"),
        (b"<messages/>", "application/xml"),
        (b"hello", "text/plain"),
    ],
    ids=["form", "multipart", "XML", "text"],
)
def test_a_body_of_another_type_is_refused(stack: LocalStack, body: bytes, kind: str) -> None:
    reply = send(stack, body, **{"Content-Type": kind})
    assert refusal_of(reply) == (400, "invalid_json")


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_a_compressed_body_is_refused(stack: LocalStack, encoding: str) -> None:
    body, refusal = HOSTILE["gzip"]
    assert refusal_of(send(stack, body, **{"Content-Encoding": encoding})) == refusal


def test_a_picture_of_four_million_bytes_is_served_by_one_that_sees(stack: LocalStack) -> None:
    picture = PNG + bytes(4_000_000 - len(PNG))
    reply = post(stack, "/v1/chat/completions", image_body(data_url(picture)))
    assert reply.status == 200
    model = stack.catalog.candidates[reply.headers["x-regroup-model"]]
    assert model.capabilities.images
    (block,) = [
        block["image"]
        for block in stack.bedrock.calls[-1].request["messages"][-1]["content"]
        if "image" in block
    ]
    assert block["format"] == "png"
    assert len(block["source"]["bytes"]) == len(data_url(picture).partition(",")[2])


def test_a_prompt_of_300_000_tokens_is_served_by_one_that_can_hold_it(stack: LocalStack) -> None:
    prompt = "word " * 300_000
    reply = post(stack, "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]})
    assert reply.status == 200
    model = stack.catalog.candidates[reply.headers["x-regroup-model"]]
    assert model.context_tokens >= 300_000
    line = next(
        line
        for line in decisions(stack)
        if line["decision_id"] == reply.headers["x-regroup-decision-id"]
    )
    refused = {name for name, hurdle in line["mask"].items() if hurdle == "context_window"}
    small = {n for n, one in stack.catalog.candidates.items() if one.context_tokens <= 300_000}
    assert refused == small
    assert json.dumps(stack.bedrock.calls[-1].request).count("word") == 300_000


def test_named_a_model_that_cannot_hold_it_is_refused(stack: LocalStack) -> None:
    prompt = [{"role": "user", "content": "word " * 300_000}]
    reply = post(stack, "/v1/chat/completions", {"model": "sonnet", "messages": prompt})
    assert refusal_of(reply) == (422, "no_candidate")
