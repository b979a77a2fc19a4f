"""What a hostile body costs: it is refused before any text is tokenised or any model asked."""

import json

import pytest

from classifier.strict_json import MAX_BODY_BYTES
from tests.local.hostile_bodies import HOSTILE, VALID, Refusal
from tests.local.world import small_world

PATHS = ["/v1/chat/completions", "/v1/route"]


@pytest.mark.parametrize(("body", "refusal"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("path", PATHS)
def test_it_is_refused_before_it_is_tokenised(path: str, body: bytes, refusal: Refusal) -> None:
    world = small_world()
    response = world.handle(body, path=path)
    error = json.loads(b"".join(response.body))["error"]
    assert (response.status, error["code"]) == refusal
    assert error.keys() == {"message", "type", "code", "param"}
    assert error["message"].endswith(".")
    assert len(error["message"]) < 300
    assert error["type"] == "invalid_request_error"
    assert (world.encoder.texts, world.chat_model.asked) == ([], [])
    assert (world.cache.reads, world.sessions.items, world.telemetry.lines) == ([], {}, [])


@pytest.mark.parametrize("path", PATHS)
def test_the_body_they_were_made_from_is_served(path: str) -> None:
    world = small_world()
    assert world.handle(VALID, path=path).status == 200
    assert world.encoder.texts != []


@pytest.mark.parametrize(
    ("size", "status"), [(MAX_BODY_BYTES, 400), (MAX_BODY_BYTES + 1, 413)], ids=["just", "over"]
)
def test_a_body_over_the_limit_is_not_even_parsed(size: int, status: int) -> None:
    world = small_world()
    response = world.handle(b"[" * size)
    assert response.status == status
    assert world.encoder.texts == []
