"""What Bedrock refuses before any model sees it, as far as it is the same for all models."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.local.converse import Request, members, texts_of

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_IMAGE_FORMATS = ("png", "jpeg", "gif", "webp")
_MOST_CACHE_POINTS = 4


def complaint(request: Request) -> str | None:
    """Say what Bedrock would say about a request, or None.

    The first three sentences and the ones about `toolConfig` and duplicate ids are Bedrock's own,
    as public issue threads quote them.
    """
    return next(_complaints(request), None)


def _complaints(request: Request) -> Iterator[str]:
    messages = request.get("messages", [])
    if not messages or messages[0]["role"] != "user":
        yield "A conversation must start with a user message. Try again with one."
        return
    roles = [message["role"] for message in messages]
    if any(here == after for here, after in pairwise(roles)):
        yield "A conversation must alternate between user and assistant roles."
    contents = [message["content"] for message in messages]
    if not all(contents):
        yield "A message must have content."
    if any(
        not text.strip() for c in [request.get("system", []), *contents] for text in texts_of(c)
    ):
        yield "The text field in the ContentBlock object is blank. Add text and try again."
    yield from _tool_complaints(request)
    yield from _pairing_complaints(messages)
    yield from _image_complaints(messages)
    points = [request.get("system", []), request.get("toolConfig", {}).get("tools", []), *contents]
    if sum(len(members(content, "cachePoint")) for content in points) > _MOST_CACHE_POINTS:
        yield f"There may be at most {_MOST_CACHE_POINTS} cache points."


def _tool_complaints(request: Request) -> Iterator[str]:
    """Look at what is offered, and whether anything is where it must be."""
    config = request.get("toolConfig")
    contents = [message["content"] for message in request["messages"]]
    uses = [use for content in contents for use in members(content, "toolUse")]
    if config is None:
        if uses or any(members(content, "toolResult") for content in contents):
            yield (
                "The toolConfig field must be defined when using toolUse and toolResult "
                "content blocks."
            )
        return
    names = [tool["name"] for tool in members(config["tools"], "toolSpec")]
    if not names or len(set(names)) < len(names):
        yield "The tools must be one or more, and have names of their own."
    if any(not _NAME.fullmatch(name) for name in (*names, *(use["name"] for use in uses))):
        yield "A tool's name must match [a-zA-Z0-9_-]+ and have at most 64 characters."
    if any(tool.get("description") == "" for tool in members(config["tools"], "toolSpec")):
        yield "The description of a tool must not be empty."
    chosen = config.get("toolChoice", {}).get("tool", {}).get("name")
    if chosen is not None and chosen not in names:
        yield "The tool that must be called is not on offer."


def _pairing_complaints(messages: list[Any]) -> Iterator[str]:
    """Look for each tool use's result in the message after it, and for nothing else there."""
    asked: list[str] = []
    seen: set[str] = set()
    for index, message in enumerate(messages):
        place = f"messages.{index}.content"
        uses = [use["toolUseId"] for use in members(message["content"], "toolUse")]
        results = [result["toolUseId"] for result in members(message["content"], "toolResult")]
        if (uses and message["role"] == "user") or (results and message["role"] == "assistant"):
            yield f"toolUse is the assistant's and toolResult the user's: {place}."
        if sorted(results) != sorted(asked):
            yield f"The toolResult blocks at {place} must be those of the toolUse blocks before it."
        if len(seen | set(uses)) < len(seen) + len(uses):
            yield f"The toolUse blocks at {place} contain duplicate Ids."
        if not all(map(_ID.fullmatch, uses)):
            yield f"An id at {place} must match [a-zA-Z0-9_.:-]+ and have at most 64 characters."
        asked = uses
        seen |= set(uses)
    if asked:
        yield "The last message's toolUse blocks have no results."


def _image_complaints(messages: list[Any]) -> Iterator[str]:
    for message in messages:
        content = message["content"]
        images = members(content, "image")
        if images and message["role"] == "assistant":
            yield "Images are the user's."
        for result in members(content, "toolResult"):
            images += members(result["content"], "image")
        if not all(image["format"] in _IMAGE_FORMATS for image in images):
            yield "The format of an image must be png, jpeg, gif or webp."
        if not all(image["source"].get("bytes") for image in images):
            yield "An image must have bytes."
