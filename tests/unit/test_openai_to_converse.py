"""From an OpenAI client to Bedrock and back: nothing is refused, nothing is lost."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

import botocore.session
import pytest
from botocore.model import OperationModel
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.converse import converse_request
from regroup.converse_events import chat_events
from regroup.domain.catalog import Candidate, Capabilities, Prices, PromptCache
from regroup.domain.chat import ChatRequest, fold
from regroup.errors import UpstreamIncapableError
from regroup.openai_answer import completion, completion_chunks
from regroup.openai_body import ChatCompletionRequest
from regroup.openai_chat import to_chat_request
from tests.local.complaints import complaint
from tests.local.converse import Reply, ToolCall, members, reply_events
from tests.local.fakes import PATIENT

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
CONVERSE_STREAM: OperationModel = SERVICE.operation_model("ConverseStream")

CANDIDATE = Candidate(
    name="any",
    family="any",
    model_id="any.model",
    region="ap-northeast-1",
    prices=Prices(input=1, output=5),
    context_tokens=200_000,
    max_output_tokens=8_000,
    tokens_per_char={"latin": 0.25, "cjk": 1, "other": 0.5},
    capabilities=Capabilities(
        tools=True, forced_tool_choice=True, images=True, json_schema=True, prefill=True
    ),
    residency="jp",
)
THOROUGH = settings(PATIENT, max_examples=60)
PNG = b"\x89PNG\r\n\x1a\n"

candidates = st.builds(
    replace,
    st.just(CANDIDATE),
    capabilities=st.builds(
        replace,
        st.just(CANDIDATE.capabilities),
        system=st.booleans(),
        json_schema=st.booleans(),
        prompt_cache=st.sampled_from([None, PromptCache(5, 300)]),
    ),
)

words = st.text(max_size=12)
blanks = st.sampled_from(["", " ", "\n\u3000", None])
odd = st.sampled_from(["a b", "a.b", "a_b", "日本", "x" * 70, "x" * 71, "now", "", " "])
names = (
    st.from_regex(r"[a-zA-Z0-9_-]{1,10}", fullmatch=True) | odd.filter(bool) | words.filter(bool)
)
ids = st.from_regex(r"call_[0-9]", fullmatch=True) | names
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
)
json_objects = st.dictionaries(
    words, scalars | st.lists(scalars, max_size=2) | st.dictionaries(words, scalars, max_size=2),
    max_size=3,
)  # fmt: skip
pictures = st.binary(max_size=8).map(
    lambda tail: {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG + tail).decode()}"},
    }
)
text_parts = (words | blanks).map(lambda text: {"type": "text", "text": text})
texts = words | blanks | st.lists(text_parts, max_size=3)
contents = texts | st.lists(text_parts | pictures, max_size=3)


@st.composite
def tool_rounds(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One assistant message with calls, and its results in any order."""
    called = draw(st.lists(ids, min_size=1, max_size=3, unique=True))
    tool_calls = [
        {
            "id": name,
            "type": "function",
            "function": {
                "name": draw(names),
                "arguments": draw(st.just("") | json_objects.map(json.dumps)),
            },
        }
        for name in called
    ]
    results = [
        {"role": "tool", "tool_call_id": name, "content": draw(contents)}
        for name in draw(st.permutations(called))
    ]
    return [{"role": "assistant", "content": draw(texts), "tool_calls": tool_calls}, *results]


def message(role: str, content: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return content.map(lambda said: [{"role": role, "content": said}])


@st.composite
def bodies(draw: st.DrawFn, *, may_call: bool = False) -> dict[str, Any]:
    """A request that OpenAI would take, in which there is something to answer.

    With `may_call` it offers tools that the answer may call.
    """
    steps = st.lists(
        st.one_of(
            message("system", texts),
            message("user", contents),
            message("assistant", texts),
            tool_rounds(),
        ),
        max_size=5,
    )
    asked = [{"role": "user", "content": draw(words.filter(str.strip))}]
    before, after = draw(steps), draw(steps)
    body: dict[str, Any] = {"messages": [m for s in (*before, asked, *after) for m in s]}
    offered = draw(st.lists(names, min_size=int(may_call), max_size=4, unique=True))
    if offered:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": draw(words | blanks),
                    "parameters": draw(st.none() | json_objects),
                },
            }
            for name in offered
        ]
        named = {"type": "function", "function": {"name": draw(st.sampled_from(offered))}}
        choices = [None, "auto", "required", named, *([] if may_call else ["none"])]
        body["tool_choice"] = draw(st.sampled_from(choices))
    form = {"name": draw(names), "schema": draw(json_objects), "description": draw(words | blanks)}
    body["response_format"] = draw(
        st.sampled_from(
            [None, {"type": "json_object"}, {"type": "json_schema", "json_schema": form}]
        )
    )
    body["stop"] = draw(st.none() | words | st.lists(words, max_size=4))
    return body


def translate(body: Mapping[str, Any]) -> ChatRequest:
    return to_chat_request(ChatCompletionRequest.model_validate(body), body)


def converse_of(candidate: Candidate, body: Mapping[str, Any]) -> dict[str, Any]:
    return dict(converse_request(candidate, translate(body)))


@THOROUGH
@given(candidates, bodies())
def test_bedrock_takes_every_request_that_openai_takes(
    candidate: Candidate, body: dict[str, Any]
) -> None:
    request = translate(body)
    form = request.json_schema
    by_tool = form is not None and not candidate.capabilities.json_schema
    if form and by_tool and (request.offers_tools or form.schema.get("type", "object") != "object"):
        with pytest.raises(UpstreamIncapableError):
            converse_request(candidate, request)
        return

    converse: Any = converse_request(candidate, request)

    assert ("toolConfig" in converse) == (request.offers_tools or by_tool)
    assert ("outputConfig" in converse) == (form is not None and not by_tool)
    assert CONVERSE_STREAM.input_shape is not None
    report = ParamValidator().validate(converse, CONVERSE_STREAM.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert complaint(converse) is None


@THOROUGH
@given(bodies())
def test_whatever_was_said_or_shown_reaches_bedrock(body: dict[str, Any]) -> None:
    converse = converse_of(CANDIDATE, body)

    sent = [block["text"].rstrip() for block in converse.get("system", [])]
    for item in converse["messages"]:
        sent += [shown(block) for block in item["content"]]
        for result in members(item["content"], "toolResult"):
            sent += map(shown, result["content"])
    for item in body["messages"]:
        assert all(piece in sent for piece in pieces(item["content"]))


def pieces(content: Any) -> list[str | bytes]:
    """Return what a message says and shows: texts that touch are one, blank ones none."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    found: list[str | bytes] = []
    for is_text, touching in groupby(parts, lambda part: part["type"] == "text"):
        if is_text:
            found.append("".join(part["text"] or "" for part in touching).rstrip())
        else:
            urls = [part["image_url"]["url"] for part in touching]
            found += [base64.b64decode(url.partition(",")[2]) for url in urls]
    return [piece for piece in found if piece]


def shown(block: Mapping[str, Any]) -> str | bytes:
    """Return the same of a block; tool uses and results are neither said nor shown."""
    data: bytes = block["image"]["source"]["bytes"] if "image" in block else b""
    return data or str(block.get("text", "")).rstrip()


@THOROUGH
@given(bodies(may_call=True))
def test_tool_rounds_reach_bedrock_whole(body: dict[str, Any]) -> None:
    messages = converse_of(CANDIDATE, body)["messages"]
    uses = [use for item in messages for use in members(item["content"], "toolUse")]
    results = [result for item in messages for result in members(item["content"], "toolResult")]
    calls = [call for item in body["messages"] for call in item.get("tool_calls", ())]
    answers = [item for item in body["messages"] if item["role"] == "tool"]

    # Arguments as values, names one to one, what is legal unchanged.
    for use, call in zip(uses, calls, strict=True):
        assert use["input"] == json.loads(call["function"]["arguments"] or "{}")
        if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["function"]["name"]):
            assert use["name"] == call["function"]["name"]
    renamed = {
        (call["function"]["name"], use["name"]) for call, use in zip(calls, uses, strict=True)
    }
    assert len(renamed) == len({old for old, _ in renamed}) == len({new for _, new in renamed})
    legal = {call["id"] for call in calls if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["id"])}
    assert legal <= {use["toolUseId"] for use in uses}

    # Each result is that of its own call, and holds what the tool gave.
    sent = iter(uses)
    ids: dict[str, str] = {}
    expected: list[str] = []
    for item in body["messages"]:
        ids |= {call["id"]: next(sent)["toolUseId"] for call in item.get("tool_calls", ())}
        expected += [ids[item["tool_call_id"]]] if item["role"] == "tool" else []
    assert [result["toolUseId"] for result in results] == expected
    for result, answer in zip(results, answers, strict=True):
        given_back = [shown(block) for block in result["content"]]
        assert given_back == (pieces(answer["content"]) or ["(The tool gave back nothing.)"])


@THOROUGH
@given(bodies(may_call=True), st.data())
def test_a_tool_use_comes_back_to_the_client_streamed_or_not(
    body: dict[str, Any], data: st.DataObject
) -> None:
    request = translate(body)
    converse = converse_of(CANDIDATE, body)
    originals = [tool["function"]["name"] for tool in body["tools"]]
    specs = members(converse["toolConfig"]["tools"], "toolSpec")
    picked = data.draw(st.lists(st.integers(0, len(specs) - 1), min_size=1, max_size=3))
    inputs = [data.draw(json_objects) for _ in picked]
    reply = Reply(
        data.draw(words),
        1,
        2,
        stop_reason="tool_use",
        tool_calls=tuple(
            ToolCall(f"tooluse_{number}", specs[index]["name"], value)
            for number, (index, value) in enumerate(zip(picked, inputs, strict=True))
        ),
    )
    events = list(chat_events(CANDIDATE, request, reply_events(reply)))
    head = {"completion_id": "chatcmpl-1", "model": "any", "created": 1}

    whole = json.loads(completion(fold(events), **head))  # type: ignore[arg-type]
    chunks = completion_chunks(iter(events), include_usage=False, **head)  # type: ignore[arg-type]
    streamed = joined(b"".join(chunks))

    [choice] = whole["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == (reply.text or None)
    called = choice["message"]["tool_calls"]
    assert [call["id"] for call in called] == [call.id for call in reply.tool_calls]
    assert [call["function"]["name"] for call in called] == [originals[index] for index in picked]
    assert [json.loads(call["function"]["arguments"]) for call in called] == inputs
    assert streamed == (reply.text, called, "tool_calls")


def joined(stream: bytes) -> tuple[str, list[dict[str, Any]], str]:
    """Join chunks as OpenAI's clients do: text, tool calls, finish reason."""
    calls: list[dict[str, Any]] = []
    text = reason = ""
    for line in stream.decode().split("\n\n")[:-2]:
        [choice] = json.loads(line.removeprefix("data: "))["choices"]
        text += choice["delta"].get("content") or ""
        reason = choice["finish_reason"] or reason
        for piece in choice["delta"].get("tool_calls", ()):
            if piece["index"] == len(calls):
                calls.append({"id": piece["id"], "type": piece["type"], "function": {}})
            function = calls[piece["index"]]["function"]
            for name, more in piece["function"].items():
                function[name] = function.get(name, "") + more
    return text, calls, reason
