"""The shapes of Converse as boto3 takes them, for requests that tests write by hand."""

from typing import Any

type Shape = Any
"""What boto3 takes."""


def tools(*names: str, schema: Shape = None, **choice: Shape) -> Shape:
    """Return a tool configuration; `choice` is its `toolChoice`."""
    specs = [{"toolSpec": {"name": name, "inputSchema": {"json": schema or {}}}} for name in names]
    return {"tools": specs, **({"toolChoice": choice} if choice else {})}


def user(*content: Shape) -> Shape:
    return {"role": "user", "content": [{"text": c} if isinstance(c, str) else c for c in content]}


def assistant(*content: Shape) -> Shape:
    return {**user(*content), "role": "assistant"}


def use(called: str = "1", name: str = "weather") -> Shape:
    return {"toolUse": {"toolUseId": called, "name": name, "input": {}}}


def gave(called: str = "1", *content: Shape) -> Shape:
    return {"toolResult": {"toolUseId": called, "content": list(content)}}


def image(data: bytes = b"pixels", form: str = "png") -> Shape:
    return {"image": {"format": form, "source": {"bytes": data}}}
