"""LiteLLM against the served API, as a server that speaks OpenAI's language."""

import json
from importlib import import_module
from typing import Any

type Task = dict[str, Any]


def results(task: Task) -> dict[str, Any]:
    """Chat, call a tool, show an image, ask for JSON, stream, and make mistakes."""
    litellm: Any = import_module("litellm")
    litellm.telemetry = False
    server = {"api_base": f"{task['url']}/v1", "api_key": task["key"], "num_retries": 0}

    def complete(messages: list[Any], **fields: Any) -> Any:
        asked = {"model": "openai/regroup", **server, **fields}
        return litellm.completion(messages=messages, max_retries=0, **asked)

    question = [{"role": "user", "content": task["question"]}]
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": task["image"]}},
    ]
    form = {
        "type": "json_schema",
        "json_schema": {"name": "weather", "schema": task["schema"], "strict": True},
    }
    return {
        "chat": chat(complete(question)),
        "tool": tool(complete, task),
        "image": text_of(complete([{"role": "user", "content": parts}])),
        "json": json.loads(text_of(complete(question, response_format=form))),
        "stream": stream(litellm, complete, question),
        "errors": {
            "key": error_of(lambda: complete(question, api_key="sk-wrong")),
            "model": error_of(lambda: complete(question, model="openai/gpt-4")),
        },
    }


def text_of(completion: Any) -> str:
    """Return the text of a whole answer."""
    text: str = completion.choices[0].message.content
    return text


def chat(completion: Any) -> dict[str, Any]:
    """Return what a chat brought."""
    headers = completion._hidden_params["additional_headers"]
    return {
        "text": text_of(completion),
        "finish_reason": completion.choices[0].finish_reason,
        "total_tokens": completion.usage.total_tokens,
        "model": completion.model,
        "routed_model": headers["llm_provider-x-regroup-model"],
    }


def tool(complete: Any, task: Task) -> dict[str, Any]:
    """Have a tool called and send back what it gave."""
    tools = [{"type": "function", "function": task["tool"]}]
    messages: list[Any] = [{"role": "user", "content": task["errand"]}]
    called = complete(messages, tools=tools).choices[0]
    (call,) = called.message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": task["tool_result"]}
    return {
        "finish_reason": called.finish_reason,
        "name": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "answer": text_of(complete([*messages, called.message, result], tools=tools)),
    }


def stream(litellm: Any, complete: Any, messages: list[Any]) -> dict[str, Any]:
    """Read an answer as it comes, and join it as LiteLLM does."""
    chunks = list(complete(messages, stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks, messages=messages)
    return {
        "text": text_of(whole),
        "total_tokens": whole.usage.total_tokens,
        "pieces": len(chunks),
    }


def error_of(ask: Any) -> str:
    """Return the kind of the error that a request meets."""
    try:
        ask()
    except Exception as error:
        return type(error).__name__
    return "no error"
