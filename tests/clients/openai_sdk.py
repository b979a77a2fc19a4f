"""The OpenAI Python SDK against the served API: only its base URL and key are changed."""

import json
from importlib import import_module
from typing import Any

type Task = dict[str, Any]


def results(task: Task) -> dict[str, Any]:
    """Chat, call a tool, show an image, ask for JSON, stream, and make mistakes."""
    openai = import_module("openai")
    url = f"{task['url']}/v1"
    client = openai.OpenAI(base_url=url, api_key=task["key"], max_retries=0)
    create = client.chat.completions.create
    ask = {"model": "regroup", "messages": [user(task["question"])]}

    def mistake(**changes: Any) -> str:
        return error_of(openai, lambda: create(**ask | changes))

    stranger = openai.OpenAI(base_url=url, api_key="sk-wrong", max_retries=0)
    return {
        "chat": chat(client, ask),
        "named": create(**ask | {"model": "haiku"}).model,
        "explained": create(**ask, extra_body={"regroup": {"explain": True}}).regroup["reason"],
        "tool": tool(create, task),
        "image": text_of(create(model="regroup", messages=[image(task)])),
        "json": json.loads(text_of(create(**ask, response_format=json_format(task)))),
        "parsed": parsed(client, ask),
        "stream": stream(create, ask),
        "streamed_tool": streamed_tool(create, task),
        "models": [model.id for model in client.models.list()],
        "errors": {
            "key": error_of(openai, lambda: stranger.chat.completions.create(**ask)),
            "model": mistake(model="gpt-4"),
            "remote image": mistake(
                messages=[image(task | {"image": "https://example.com/a.png"})]
            ),
            "broken image": mistake(messages=[image(task | {"image": "data:image/png;base64,!"})]),
            "temperature": mistake(temperature=9),
            "feature": mistake(n=2),
        },
    }


def user(content: object) -> dict[str, Any]:
    """Return a message of the user."""
    return {"role": "user", "content": content}


def image(task: Task) -> dict[str, Any]:
    """Return a message with a picture."""
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": task["image"]}},
    ]
    return user(parts)


def json_format(task: Task) -> dict[str, Any]:
    """Return the form of a JSON answer."""
    named = {"name": "weather", "schema": task["schema"], "strict": True}
    return {"type": "json_schema", "json_schema": named}


def text_of(completion: Any) -> str:
    """Return the text of a whole answer."""
    text: str = completion.choices[0].message.content
    return text


def chat(client: Any, ask: dict[str, Any]) -> dict[str, Any]:
    """Chat, and read the headers too."""
    raw = client.chat.completions.with_raw_response.create(**ask)
    completion = raw.parse()
    return {
        "text": text_of(completion),
        "finish_reason": completion.choices[0].finish_reason,
        "total_tokens": completion.usage.total_tokens,
        "model": completion.model,
        "routed_model": raw.headers["x-regroup-model"],
    }


def tool(create: Any, task: Task) -> dict[str, Any]:
    """Have a tool called and send back what it gave."""
    ask = {"model": "regroup", "tools": [{"type": "function", "function": task["tool"]}]}
    messages: list[Any] = [user(task["errand"])]
    called = create(**ask, messages=messages).choices[0]
    (call,) = called.message.tool_calls
    messages += [
        called.message,
        {"role": "tool", "tool_call_id": call.id, "content": task["tool_result"]},
    ]
    return {
        "finish_reason": called.finish_reason,
        "name": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "answer": text_of(create(**ask, messages=messages)),
    }


def parsed(client: Any, ask: dict[str, Any]) -> dict[str, Any]:
    """Ask for an object of a class."""
    pydantic = import_module("pydantic")
    weather = pydantic.create_model("Weather", city=(str, ...), degrees=(float, ...))
    completion = client.chat.completions.parse(**ask, response_format=weather)
    found: dict[str, Any] = completion.choices[0].message.parsed.model_dump()
    return found


def stream(create: Any, ask: dict[str, Any]) -> dict[str, Any]:
    """Read an answer as it comes."""
    chunks = list(create(**ask, stream=True, stream_options={"include_usage": True}))
    return {
        "text": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
        "total_tokens": chunks[-1].usage.total_tokens,
        "pieces": len(chunks),
    }


def streamed_tool(create: Any, task: Task) -> dict[str, Any]:
    """Join a tool call from its pieces."""
    chunks = create(
        model="regroup",
        messages=[user(task["errand"])],
        tools=[{"type": "function", "function": task["tool"]}],
        stream=True,
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    pieces = [piece.function for delta in deltas for piece in delta.tool_calls or ()]
    return {
        "name": pieces[0].name,
        "arguments": json.loads("".join(piece.arguments or "" for piece in pieces)),
    }


def error_of(openai: Any, ask: Any) -> str:
    """Return the kind and the code of the error that a request meets."""
    try:
        ask()
    except openai.APIStatusError as error:
        return f"{type(error).__name__} {error.code}"
    return "no error"
