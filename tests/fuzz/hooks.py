"""Loaded by schemathesis: make some valid bodies meaningful too, so that they are served.

The document cannot say all that a request must be: that a model has such a name, that an image is
one, that a tool message answers a call. Bodies made from it alone would hardly ever get as far as
a model.
"""

import json
from collections import Counter
from importlib import import_module
from typing import Any

MODELS = ("regroup", "regroup-quality", "regroup-economy", "haiku", "nova-lite")
ANSWER_SCHEMA = "ST108"
QUESTION = {"role": "user", "content": "What is 12 times 7?"}

_schemathesis = import_module("schemathesis")
_valid = Counter[str]()
_decision_ids: list[str] = []


def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Mend every second valid body."""
    if not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    number = _valid[case.operation.label]
    _valid[case.operation.label] += 1
    if number % 2:
        return
    if "messages" in case.body:
        case.body = mended(case.body, MODELS[number // 2 % len(MODELS)])
    elif _decision_ids:
        case.body = {**case.body, "decision_id": _decision_ids[-1]}


def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember what can be judged."""
    _decision_ids.extend(response.headers.get("x-regroup-decision-id", ()))


def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Leave streams to the check below: 3.0 describes their text, schemathesis their events."""
    return not (failure.code == ANSWER_SCHEMA and _is_stream(response))


def stream_is_whole(context: Any, response: Any, case: Any) -> None:
    """A stream is events of JSON, and is ended."""
    if _is_stream(response):
        *chunks, done, rest = response.content.decode().split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        kinds = {json.loads(chunk.removeprefix("data: "))["object"] for chunk in chunks}
        assert kinds == {"chat.completion.chunk"}


def _is_stream(response: Any) -> bool:
    return any("event-stream" in kind for kind in response.headers.get("content-type", ()))


def mended(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Return a body of the same kind that a candidate can serve."""
    kept = [message for message in body["messages"] if _is_plain(message)]
    options = {**(body.get("regroup") or {})}
    for name in ("candidates", "max_cost_usd", "residency"):
        options.pop(name, None)
    better = {**body, "model": model, "messages": [*kept, QUESTION], "n": 1, "regroup": options}
    if body.get("tool_choice") not in (None, "none", "auto"):
        better["tool_choice"] = None
    if better.get("response_format"):
        better["tools"] = None
    return better


def _is_plain(message: dict[str, Any]) -> bool:
    """Tell whether a message is text alone."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return (
        message["role"] != "tool"
        and not message.get("tool_calls")
        and all(part["type"] == "text" for part in parts)
    )


for _function in (before_call, after_call, filter_failure):
    _schemathesis.hook(_function)
_schemathesis.check(stream_is_whole)
