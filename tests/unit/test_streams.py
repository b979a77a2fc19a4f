"""Answers as server-sent events, however they end."""

import json
from collections.abc import Iterator

import pytest

from regroup.domain.chat import TextDelta
from regroup.errors import (
    UpstreamError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from tests.local.fakes import ANSWER
from tests.local.reading import (
    CANARY,
    events_of,
    read,
)
from tests.local.world import chat_body, small_world


def test_a_stream_is_chunks_in_order_and_done() -> None:
    world = small_world()

    response = world.handle(chat_body(stream=True))

    assert response.status == 200
    assert response.headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-regroup-model": "medium",
        "x-regroup-decision-id": "id-0",
        "x-regroup-cache": "miss",
        "x-regroup-tried": "1",
    }
    *chunks, done = events_of(read(response))
    assert done == "[DONE]"
    for chunk in chunks:
        assert {name: chunk[name] for name in ("id", "object", "created", "model")} == {
            "id": "chatcmpl-id-0",
            "object": "chat.completion.chunk",
            "created": int(world.clock.wall),
            "model": "medium",
        }
        assert len(chunk["choices"]) == 1
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Good "},
        {"content": "day."},
        {},
    ]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None, None, None, "stop"]
    assert world.line["status"] == 200


@pytest.mark.parametrize(
    ("options", "usages"),
    [(None, 0), ({}, 0), ({"include_usage": False}, 0), ({"include_usage": True}, 1)],
)
def test_usage_comes_last_and_only_where_asked_for(
    options: dict[str, object] | None, usages: int
) -> None:
    response = small_world().handle(chat_body(stream=True, stream_options=options))
    *chunks, _done = events_of(read(response))
    assert sum("usage" in chunk for chunk in chunks) == usages
    if usages:
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["total_tokens"] == 37


def test_text_with_line_breaks_and_in_japanese_stays_one_event_each() -> None:
    world = small_world()
    pieces = ["一\n\n二", "\r\ndata: [DONE]\r\n\r\n", "\u2028\u0085😀"]
    world.chat_model.plan("medium", [*map(TextDelta, pieces), *ANSWER[2:]])
    chunks = events_of(read(world.handle(chat_body(stream=True))))[1:-2]
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == pieces


def test_the_first_chunk_leaves_before_the_answer_is_complete() -> None:
    world = small_world()
    response = world.handle(chat_body(stream=True))
    assert b'"role":"assistant"' in next(response.body)
    assert b'"Good "' in next(response.body)
    assert world.telemetry.lines == []


@pytest.mark.parametrize(
    ("failure", "code", "status"),
    [
        (UpstreamUnavailableError(CANARY), "answer_broken", 503),
        (UpstreamTimeoutError(CANARY), "timeout", 504),
        (UpstreamThrottledError(CANARY), "answer_broken", 503),
    ],
)
def test_a_stream_that_breaks_ends_with_an_error_event_and_closes_the_record(
    failure: UpstreamError, code: str, status: int
) -> None:
    world = small_world(sample_rate=1.0)
    world.chat_model.plan("medium", [*ANSWER[:1], failure])

    *chunks, last = events_of(read(world.handle(chat_body(stream=True))))

    assert last["error"].keys() == {"message", "type", "code", "param"}
    assert last["error"]["code"] == code
    assert CANARY not in json.dumps(last)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None]
    assert (world.line["status"], world.queue.messages) == (status, [])


def close(pieces: Iterator[bytes]) -> None:
    """Do what a server does when its client goes away."""
    getattr(pieces, "close")()  # noqa: B009 - not every body has it


@pytest.mark.parametrize(("taken", "status"), [(0, 499), (1, 499), (3, 499), (5, 200)])
def test_a_stream_closed_by_its_reader_is_recorded_however_far_it_came(
    taken: int, status: int
) -> None:
    world = small_world()
    response = world.handle(chat_body(stream=True))
    for _ in range(taken):
        next(response.body)
    if status == 200:
        assert next(response.body, None) is None

    close(response.body)

    assert world.line["status"] == status


def test_a_stream_with_half_a_surrogate_pair_is_still_a_stream() -> None:
    world = small_world()
    world.chat_model.plan("medium", [TextDelta("a\ud83d"), *ANSWER[2:]])
    chunks = events_of(read(world.handle(chat_body(stream=True))))
    assert chunks[1]["choices"][0]["delta"] == {"content": "a\ufffd"}
