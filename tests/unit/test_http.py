"""The API as callers see it: every shape of an answer, and what it says of itself."""

from unittest.mock import ANY

import pytest

from classifier.http import Request, Response
from regroup.errors import (
    UpstreamDeniedError,
    UpstreamError,
    UpstreamRejectedError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from tests.local.fakes import ANSWER
from tests.local.reading import (
    CANARY,
    PATHS,
    body,
    error_of,
    events_of,
    read,
    read_json,
)
from tests.local.world import DIGEST, REWARDS, World, chat_body, small_world


@pytest.mark.parametrize(
    ("failure", "status", "code", "headers"),
    [
        (UpstreamThrottledError(CANARY), 503, "no_answer", {"retry-after": "30"}),
        (UpstreamDeniedError(CANARY), 503, "no_answer", {"retry-after": "30"}),
        (UpstreamRejectedError(CANARY), 400, "rejected", {}),
    ],
)
def test_an_answer_that_never_came_is_told_without_the_reason_of_others(
    failure: UpstreamError, status: int, code: str, headers: dict[str, str]
) -> None:
    for stream in (False, True):
        world = small_world()
        for name in REWARDS:
            world.chat_model.plan(name, [failure])
        response = world.handle(body(stream=stream))
        assert response.status == status
        assert response.headers == {"content-type": "application/json", **headers}
        assert error_of(response)["code"] == code


def test_a_whole_answer_that_takes_too_long_is_a_timeout() -> None:
    world = small_world()
    world.chat_model.plan("medium", [*ANSWER[:1], UpstreamTimeoutError(CANARY)])
    response = world.handle(body())
    assert (response.status, error_of(response)["code"]) == (504, "timeout")
    world.api.handle(Request("POST", PATHS[0], body(), world.deadline(0.5)))
    assert [line["status"] for line in world.telemetry.lines] == [504, 504]


def test_a_whole_answer_that_breaks_off_is_no_answer() -> None:
    world = small_world()
    world.chat_model.plan("medium", [*ANSWER[:1], UpstreamUnavailableError(CANARY)])
    response = world.handle(body())
    assert (response.status, error_of(response)["code"]) == (503, "answer_broken")
    assert world.line["status"] == 503


def test_a_whole_answer_is_a_chat_completion() -> None:
    world = small_world()

    response = world.handle(chat_body(), key_id="key-9")

    assert response.status == 200
    assert response.headers == {
        "content-type": "application/json",
        "x-regroup-model": "medium",
        "x-regroup-decision-id": "id-0",
        "x-regroup-cache": "miss",
        "x-regroup-tried": "1",
    }
    assert read_json(response) == {
        "id": "chatcmpl-id-0",
        "object": "chat.completion",
        "created": int(world.clock.wall),
        "model": "medium",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Good day.", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        # The cached tokens are part of OpenAI's prompt tokens, and apart in Bedrock's.
        "usage": {
            "prompt_tokens": 10 + 3 + 4,
            "completion_tokens": 20,
            "total_tokens": 37,
            "prompt_tokens_details": {"cached_tokens": 3},
        },
    }
    assert world.line["key_id"] == "key-9"
    assert read_json(world.handle(chat_body()))["id"] == "chatcmpl-id-1"


def test_the_headers_name_who_answered_and_not_who_was_chosen() -> None:
    world = small_world()
    world.chat_model.plan("medium", [UpstreamThrottledError("full")])
    response = world.handle(chat_body())
    assert response.headers["x-regroup-model"] == "small"
    assert read_json(response)["model"] == "small"


@pytest.mark.parametrize(
    ("model", "candidate", "preset"),
    [
        (None, "medium", "balanced"),
        ("regroup", "medium", "balanced"),
        ("regroup-quality", "large", "quality"),
        ("regroup-balanced", "medium", "balanced"),
        ("regroup-economy", "small", "economy"),
        ("small", "small", "none"),
        ("large", "large", "none"),
    ],
)
def test_a_model_name_is_a_preset_or_a_candidate(
    model: str | None, candidate: str, preset: str
) -> None:
    world = small_world()
    fields = {} if model is None else {"model": model}
    assert read_json(world.handle(chat_body(**fields)))["model"] == candidate
    assert world.line["preset"] == preset


def test_options_of_ours_reach_the_decision() -> None:
    world = small_world(explore_share=1.0)
    options = {"cost_weight": 10_000, "explore": False}
    explained = read_json(world.handle(chat_body(regroup=options), path="/v1/route"))
    assert (explained["routed_model"], explained["explore_allowed"]) == ("small", False)


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1, "user": "u", "store": True, "a_field_of_next_year": {"x": [1]}},
        {"tools": [], "n": 1, "logprobs": False, "response_format": {"type": "text"}},
        {"tools": None, "n": None, "stream": None, "stop": None, "max_tokens": None},
        {"max_tokens": 10**300, "temperature": 2, "top_p": 0},
        {"regroup": {"cost_weight": 1e308}},
    ],
)
def test_fields_that_ask_for_nothing_unserved_are_accepted(fields: dict[str, object]) -> None:
    assert small_world().handle(chat_body(**fields)).status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/route//", "/healthz/"])
def test_a_slash_at_the_end_of_a_path_changes_nothing(path: str) -> None:
    method = "GET" if "healthz" in path else "POST"
    assert small_world().handle(chat_body(), method=method, path=path).status == 200


@pytest.mark.parametrize(
    "text",
    ["\0", "\u202eright to left", "e" + "\u0301" * 10_000, "😀" * 100, "カタカナ１２３", "\ufeff"],
    ids=["NUL", "bidi", "combining flood", "emoji", "full width", "BOM"],
)
def test_odd_but_valid_text_is_answered(text: str) -> None:
    world = small_world(sample_rate=1.0)
    assert world.handle(chat_body(text)).status == 200
    assert world.chat_model.calls[0].request.turns[0].text == text


def test_two_escaped_halves_are_a_character() -> None:
    world = small_world()
    assert world.handle(rb'{"messages":[{"role":"user","content":"\ud83d\ude00"}]}').status == 200
    assert world.encoder.texts == ["😀"]


# Explanations and health


def test_route_explains_the_decision_and_asks_nobody() -> None:
    world = small_world()
    explained = read_json(
        world.handle(chat_body(CANARY, model="regroup-quality"), path="/v1/route")
    )
    assert world.chat_model.calls == []
    assert explained == {
        "decision_id": "id-0",
        "version": DIGEST,
        "routed_model": "large",
        "reason": "learned",
        "preset": "quality",
        "cost_weight": 0.0,
        "scores": REWARDS,
        "cluster_id": 0,
        "distance": 1.0,
        "predicted_rewards": REWARDS,
        "predicted_output_tokens": pytest.approx(dict.fromkeys(REWARDS, 100.0), abs=1e-4),
        "predicted_costs_usd": pytest.approx({"small": 103e-6, "medium": 412e-6, "large": 2060e-6}),
        "mask": dict.fromkeys(REWARDS),
        "reward_errors": {},
        "probabilities": {
            "champion": {"small": 0.0, "medium": 0.0, "large": 1.0},
            "behaviour": {"small": 0.0, "medium": 0.0, "large": 1.0},
        },
        "arm": "champion",
        "challenger_version": None,
        "explore_allowed": True,
        "cache": "miss",
        "session": ANY,
    }


@pytest.mark.parametrize(
    ("rewards", "artifact", "age", "routes"),
    [(REWARDS, DIGEST, 90, True), (None, None, None, False)],
)
def test_health_says_what_is_live(
    rewards: dict[str, float] | None, artifact: str | None, age: int | None, routes: bool
) -> None:
    world = small_world(rewards=rewards)
    world.clock.advance(90.0)
    response = world.handle(b"", method="GET", path="/healthz")
    assert response.status == 200
    assert read_json(response) == {
        "status": "ok",
        "artifact": artifact,
        "age_seconds": age,
        "routes": routes,
        "challenger": None,
        "mode": "off",
        "candidates": ["small", "medium", "large"],
    }


def test_without_an_artifact_chat_is_answered_by_the_default() -> None:
    response = small_world(rewards=None).handle(chat_body(model="regroup-quality"))
    assert response.headers["x-regroup-model"] == "medium"
    assert response.headers["x-regroup-cache"] == "unused"


def test_a_version_that_was_refused_shows_in_the_health() -> None:
    world = small_world()
    world.service.decider.releases.is_degraded = True
    assert read_json(world.handle(b"", method="GET", path="/healthz"))["status"] == "degraded"


def test_the_models_are_the_virtual_ones_and_the_candidates() -> None:
    listed = read_json(small_world().handle(b"", method="GET", path="/v1/models"))
    assert listed["object"] == "list"
    assert [(model["id"], model["owned_by"]) for model in listed["data"]] == [
        ("regroup", "regroup"),
        ("regroup-quality", "regroup"),
        ("regroup-balanced", "regroup"),
        ("regroup-economy", "regroup"),
        ("small", "test"),
        ("medium", "test"),
        ("large", "test"),
    ]
    assert {model["object"] for model in listed["data"]} == {"model"}


@pytest.mark.parametrize("stream", [False, True])
def test_an_explanation_comes_with_the_answer_where_it_was_asked_for(stream: bool) -> None:
    world = small_world()
    response = world.handle(body(stream=stream, regroup={"explain": True}))
    if stream:
        (explained,) = [e["regroup"] for e in events_of(read(response))[:-1] if "regroup" in e]
    else:
        explained = read_json(response)["regroup"]
    assert explained["decision_id"] == response.headers["x-regroup-decision-id"]
    assert explained["predicted_rewards"] == REWARDS
    assert "regroup" not in read_json(world.handle(body()))


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({"candidates": ["small"]}, {"medium": "not_wanted", "large": "not_wanted"}),
        ({"max_cost_usd": 0.003}, {"large": "max_cost_usd"}),
        ({"residency": "jp"}, {}),
    ],
)
def test_options_of_ours_close_candidates(options: dict[str, object], mask: dict[str, str]) -> None:
    world = small_world()
    explained = read_json(world.handle(body(regroup=options), path="/v1/route"))
    assert explained["mask"] == dict.fromkeys(REWARDS) | mask


def test_the_number_of_tries_is_told() -> None:
    world = small_world()
    world.chat_model.plan("medium", [UpstreamThrottledError("medium")])
    response = world.handle(body())
    assert response.headers["x-regroup-tried"] == "2"
    assert response.headers["x-regroup-model"] != "medium"


# Feedback


def judge(world: World, fields: dict[str, object], key_id: str | None = None) -> Response:
    return world.handle(fields, path="/v1/feedback", key_id=key_id)


def test_an_answer_is_judged_by_the_id_that_came_with_it() -> None:
    world = small_world()
    answer = world.handle(body(), key_id="key-1")
    completion = read_json(answer)
    for name in (answer.headers["x-regroup-decision-id"], completion["id"]):
        response = judge(world, {"decision_id": name, "thumbs": "up"}, "key-1")
        assert (response.status, read_json(response)) == (
            200,
            {"decision_id": "id-0", "reward_score": 1.0, "recorded": True},
        )
    line = world.telemetry.lines[-1]
    assert (line["event"], line["routed_model"], line["reward_score"]) == (
        "reward_scored",
        "medium",
        1.0,
    )


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"decision_id": "id-9", "thumbs": "up"}, 404, "decision_not_found"),
        ({"decision_id": "id-0", "thumbs": "sideways"}, 400, "invalid_field"),
        ({"decision_id": "id-0"}, 400, "invalid_field"),
        ({"decision_id": "id-0", "reward": 1.5}, 400, "invalid_field"),
        ({"decision_id": "id-0", "reward": 1, "thumbs": "up"}, 400, "invalid_field"),
        ({"thumbs": "up"}, 400, "invalid_field"),
        ({"decision_id": "id-0", "thumbs": "up", "why": CANARY}, 400, "invalid_field"),
    ],
)
def test_feedback_that_cannot_be_is_refused(
    fields: dict[str, object], status: int, code: str
) -> None:
    world = small_world()
    read(world.handle(body()))
    response = judge(world, fields)
    assert (response.status, error_of(response)["code"]) == (status, code)


def test_another_keys_answer_cannot_be_judged() -> None:
    world = small_world()
    read(world.handle(body(), key_id="key-1"))
    response = judge(world, {"decision_id": "id-0", "thumbs": "up"}, "key-2")
    assert (response.status, error_of(response)["code"]) == (404, "decision_not_found")


def test_feedback_waits_for_no_table_that_fails() -> None:
    world = small_world()
    world.decisions.fails = True
    response = judge(world, {"decision_id": "id-0", "thumbs": "up"})
    assert response.headers["retry-after"] == "1"
    assert (response.status, error_of(response)["code"]) == (503, "store_unavailable")
