"""Conversations of ten turns with tools, played through the deployed API as a client plays them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.local.api_client import decisions, post
from tests.local.converse import echo
from tests.local.prompt_cache import CachingModels
from tests.local.stack import LocalStack

TURNS = 10
RULES = "You are the assistant of a travel agency. Be exact about prices, dates and places. " * 60
"""Long enough for every candidate that caches prompts at all."""
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Does a {name}.",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string"}},
                "required": ["place"],
            },
        },
    }
    for name in ("search_hotels", "book_train")
]
OPENINGS = {
    "english": ["Please use search_hotels for Kyoto in May.", "yes", "And the cheapest one?"],
    "japanese": [
        "京都の宿を search_hotels で調べてください。",
        "続けて",
        "一番安いのはどれですか?",
    ],
    "mixed": ["Use book_train from Tokyo to Osaka.", "はい", "How much is 12 times 7, by the way?"],
}


@dataclass(slots=True)
class Played:
    """One conversation: what was sent and answered, and who answered."""

    stack: LocalStack
    messages: list[dict[str, Any]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)

    def say(self, **message: object) -> dict[str, Any]:
        """Send the conversation with one message more; keep the answer as clients do."""
        self.messages.append(dict(message))
        body = {"model": "regroup", "messages": self.messages, "tools": TOOLS}
        answer = post(self.stack, "/v1/chat/completions", body)
        assert answer.status == 200, answer.body
        self.models.append(answer.headers["x-regroup-model"])
        said: dict[str, Any] = answer.json["choices"][0]["message"]
        self.messages.append({k: v for k, v in said.items() if v is not None})
        return said


@pytest.fixture(scope="module")
def stack(small_router: tuple[Path, str]) -> Iterator[LocalStack]:
    with LocalStack(artifact=small_router[0], responder=CachingModels(echo)) as stack:
        yield stack


def play(stack: LocalStack, opening: list[str]) -> tuple[Played, list[dict[str, Any]]]:
    before = len(decisions(stack))
    played = Played(stack, [{"role": "system", "content": RULES}])
    for turn in range(TURNS):
        said = played.say(role="user", content=opening[turn % len(opening)])
        for call in said.get("tool_calls") or []:
            found = json.dumps({"found": f"{call['function']['name']} {turn}"})
            played.say(role="tool", tool_call_id=call["id"], content=found)
    return played, decisions(stack)[before:]


@pytest.mark.parametrize("name", OPENINGS)
def test_ten_turns_with_tools_keep_one_model_unless_leaving_saves_more_than_it_costs(
    name: str, stack: LocalStack
) -> None:
    played, lines = play(stack, OPENINGS[name])

    assert len(lines) == len(played.models) >= TURNS + TURNS // 3
    assert [line["routed_model"] for line in lines] == played.models
    assert "session_model" not in lines[0]
    for before, line in zip(played.models, lines[1:], strict=False):
        assert line["session_model"] == before
        if line["routed_model"] != before:
            assert line["switch_saving"] > line["switch_cost"]
    # Tools were really called and their results came back to the model that asked for them.
    assert any(message["role"] == "tool" for message in played.messages)


def test_bare_answers_and_tool_results_never_change_the_model(stack: LocalStack) -> None:
    _, lines = play(stack, ["Use search_hotels for Nara.", "yes", "続けて"])
    # After the first request all of these only go on.
    assert len({line["routed_model"] for line in lines[:4]}) == 1
    assert {line["reason"] for line in lines[1:4]} == {"session"}


def test_a_prompt_cache_that_was_written_is_read_by_the_next_turn(stack: LocalStack) -> None:
    before = len(decisions(stack))
    messages = [
        {"role": "system", "content": RULES},
        {"role": "user", "content": "Hello there, my friend."},
    ]
    for _ in range(2):
        body = {"model": "sonnet", "messages": messages}
        assert post(stack, "/v1/chat/completions", body).status == 200
    written, read = decisions(stack)[before:]
    assert written["cache_write_tokens"] > 1_000
    assert read["cache_read_tokens"] == written["cache_write_tokens"]
    assert read["cost_usd"] < written["cost_usd"] / 5
