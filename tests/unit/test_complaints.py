"""What the loopback Bedrock refuses, and what it takes."""

from typing import Any

import pytest

from tests.local.complaints import complaint
from tests.local.shapes import Shape, assistant, gave, image, tools, use, user

MESSAGES: Shape = [{"role": "user", "content": [{"text": "hello there"}]}]


ASKED = (user("hi"), assistant(use()))
POINT: Any = {"cachePoint": {"type": "default"}}


@pytest.mark.parametrize(
    ("messages", "more"),
    [
        ([], {}),
        ([assistant("a")], {}),
        ([*MESSAGES, *MESSAGES], {}),
        ([user(" \n")], {}),
        ([user()], {}),
        ([user("a")], {"system": [{"text": " "}]}),
        ([*ASKED, user(gave())], {}),
        ([*ASKED], {"toolConfig": tools("weather")}),
        ([*ASKED, user("and?")], {"toolConfig": tools("weather")}),
        ([*ASKED, user(gave("2"))], {"toolConfig": tools("weather")}),
        ([*ASKED, user(gave(), gave())], {"toolConfig": tools("weather")}),
        ([*ASKED, user(gave(), gave("2"))], {"toolConfig": tools("weather")}),
        ([user(gave())], {"toolConfig": tools("weather")}),
        ([user(use()), assistant("a"), user("b")], {"toolConfig": tools("weather")}),
        ([user("a"), assistant(gave())], {"toolConfig": tools("weather")}),
        ([user("a"), assistant(use()), user(gave(), use("2")), assistant(gave("2"))],
         {"toolConfig": tools("weather")}),
        (
            [*ASKED, user(gave()), assistant(use()), user(gave())],
            {"toolConfig": tools("weather")},
        ),
        (
            [user("hi"), assistant(use("1"), use("2")), user(gave("1")), assistant("a"),
             user(gave("2"))],
            {"toolConfig": tools("weather")},
        ),
        ([user("hi"), assistant(use("a b")), user(gave("a b"))], {"toolConfig": tools("weather")}),
        ([user("hi"), assistant(use(name="a.b")), user(gave())], {"toolConfig": tools("weather")}),
        ([user("hi")], {"toolConfig": tools("a.b")}),
        ([user("hi")], {"toolConfig": tools("n" * 65)}),
        ([user("hi")], {"toolConfig": tools("now", "now")}),
        ([user("hi")], {"toolConfig": tools("now", tool={"name": "then"})}),
        ([user("hi")], {"toolConfig": {"tools": [POINT]}}),
        (
            [user("hi")],
            {"toolConfig": {"tools": [{"toolSpec": {
                "name": "a", "description": "", "inputSchema": {"json": {}}}}]}},
        ),
        ([user("hi", image(b""))], {}),
        ([user("hi", image(form="bmp"))], {}),
        ([user("hi"), assistant(image())], {}),
        ([*ASKED, user(gave("1", image(b"")))], {"toolConfig": tools("weather")}),
        ([user("hi", *[POINT] * 4)], {"system": [{"text": "a"}, POINT]}),
    ],
)  # fmt: skip
def test_what_bedrock_refuses_is_complained_of(messages: Shape, more: Shape) -> None:
    assert complaint({"messages": messages, **more}) is not None


def test_what_bedrock_takes_is_taken() -> None:
    messages = [
        user("hi", image(), POINT),
        assistant("Let me see.", use("1"), use("2")),
        user(gave("2"), gave("1", {"text": " "}), "and?", POINT),
        assistant(use("3")),
        user(gave("3", image())),
        assistant("It is"),
    ]
    config = tools("weather", tool={"name": "weather"})
    config["tools"].append(POINT)
    system = [{"text": "a"}, POINT]

    assert complaint({"messages": messages, "toolConfig": config, "system": system}) is None
