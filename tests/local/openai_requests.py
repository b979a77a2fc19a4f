"""Requests as OpenAI clients write them, and what becomes of them."""

import base64
from typing import Any

import pytest

from regroup.domain.chat import (
    ChatRequest,
    Image,
    ImageFormat,
    said,
)
from regroup.errors import RequestError
from regroup.openai_body import ChatCompletionRequest
from regroup.openai_chat import to_chat_request

USER = {"role": "user", "content": "hi"}
HI = (said("user", "hi"),)

FILES: dict[ImageFormat, bytes] = {
    "png": b"\x89PNG\r\n\x1a\n and pixels",
    "jpeg": b"\xff\xd8\xff and pixels",
    "gif": b"GIF89a and pixels",
    "webp": b"RIFF\x10\x00\x00\x00WEBP and pixels",
}
PNG = Image("png", FILES["png"])


def translate(messages: list[dict[str, Any]], **fields: object) -> ChatRequest:
    raw: dict[str, object] = {"messages": messages, **fields}
    return to_chat_request(ChatCompletionRequest.model_validate(raw), raw)


def refusal(messages: list[dict[str, Any]], **fields: object) -> RequestError:
    with pytest.raises(RequestError) as caught:
        translate(messages, **fields)
    return caught.value


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def call(name: str, called: str = "call_1", arguments: str = "{}") -> dict[str, Any]:
    return {
        "id": called,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def calls(*tool_calls: dict[str, Any], content: object = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(tool_calls)}


def result(called: str, content: object = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": called, "content": content}


def function(name: str, **fields: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}
