"""LangChain's ChatOpenAI against the served API: only its base URL and key are changed."""

from importlib import import_module
from typing import Any

type Task = dict[str, Any]


def results(task: Task) -> dict[str, Any]:
    """Chat, call a tool, show an image, ask for JSON, stream, and make mistakes."""
    chat_openai = import_module("langchain_openai").ChatOpenAI
    messages = import_module("langchain_core.messages")

    def model(**changes: Any) -> Any:
        settings = {"model": "regroup", "api_key": task["key"], "max_retries": 0, **changes}
        return chat_openai(base_url=f"{task['url']}/v1", **settings)

    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": task["image"]}},
    ]
    schema = {"title": "weather", "description": "The weather of a city.", **task["schema"]}
    return {
        "chat": chat(model(include_response_headers=True).invoke(task["question"])),
        "tool": tool(model(), messages, task),
        "image": model().invoke([messages.HumanMessage(content=parts)]).content,
        "json": model()
        .with_structured_output(schema, method="json_schema")
        .invoke(task["question"]),
        "called_json": model()
        .with_structured_output(schema, method="function_calling")
        .invoke(task["question"]),
        "stream": stream(model(stream_usage=True), task),
        "errors": {
            "key": error_of(lambda: model(api_key="sk-wrong").invoke("hello")),
            "model": error_of(lambda: model(model="gpt-4").invoke("hello")),
        },
    }


def chat(message: Any) -> dict[str, Any]:
    """Return what a chat brought."""
    about = message.response_metadata
    return {
        "text": message.content,
        "finish_reason": about["finish_reason"],
        "total_tokens": message.usage_metadata["total_tokens"],
        "model": about["model_name"],
        "routed_model": about["headers"]["x-regroup-model"],
    }


def tool(model: Any, messages: Any, task: Task) -> dict[str, Any]:
    """Have a tool called and send back what it gave."""
    bound = model.bind_tools([{"type": "function", "function": task["tool"]}])
    asked = messages.HumanMessage(content=task["errand"])
    called = bound.invoke([asked])
    (call,) = called.tool_calls
    result = messages.ToolMessage(content=task["tool_result"], tool_call_id=call["id"])
    return {
        "finish_reason": called.response_metadata["finish_reason"],
        "name": call["name"],
        "arguments": call["args"],
        "answer": bound.invoke([asked, called, result]).content,
    }


def stream(model: Any, task: Task) -> dict[str, Any]:
    """Read an answer as it comes; LangChain joins pieces by adding them."""
    first, *rest = model.stream(task["question"])
    whole = sum(rest, first)
    return {
        "text": whole.content,
        "total_tokens": whole.usage_metadata["total_tokens"],
        "pieces": 1 + len(rest),
    }


def error_of(ask: Any) -> str:
    """Return the kind and the code of the error that a request meets."""
    try:
        ask()
    except Exception as error:
        return f"{type(error).__name__} {getattr(error, 'code', None)}"
    return "no error"
