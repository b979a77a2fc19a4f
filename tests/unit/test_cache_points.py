"""Where a prompt that will be repeated is marked for a provider's cache."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from regroup.domain.catalog import Capabilities, PromptCache
from regroup.domain.chat import (
    Text,
    Turn,
    said,
)
from tests.local.complaints import complaint
from tests.local.converse_requests import ABLE, CANDIDATE, PNG, WEATHER, gave, translate, use

CACHING = replace(
    CANDIDATE,
    family="anthropic",
    capabilities=Capabilities(tools=True, images=True, prompt_cache=PromptCache(100, 300)),
)
"""Caches from 100 tokens on, which are 400 letters."""
POINT = {"cachePoint": {"type": "default"}}
LONG, SHORT = "x" * 400, "x" * 396
ANSWERED = (said("user", "hi"), said("assistant", "yes?"))


def points(converse: Mapping[str, Any]) -> set[str]:
    """Name the places that end in a cache point."""
    places: dict[str, Any] = {
        "tools": converse.get("toolConfig", {}).get("tools", []),
        "system": converse.get("system", []),
    }
    places |= {str(i): message["content"] for i, message in enumerate(converse["messages"])}
    for content in places.values():
        assert POINT not in content[:-1]
    return {name for name, content in places.items() if content[-1:] == [POINT]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"system": (SHORT,)}, set()),
        ({"system": (LONG,)}, {"system"}),
        ({"tools": (replace(WEATHER, description=LONG),)}, {"tools"}),
        ({"system": ("short",), "tools": (replace(WEATHER, description=LONG),)}, {"system"}),
        ({"turns": (said("user", LONG),)}, set()),
        ({"turns": (*ANSWERED, said("user", "hi"))}, set()),
        ({"turns": (*ANSWERED, said("user", LONG))}, {"2"}),
        ({"turns": (*ANSWERED, said("user", SHORT)), "system": ("x" * 20,)}, {"2"}),
        ({"turns": (*ANSWERED, said("user", "hi")), "system": (LONG,)}, {"system", "2"}),
        ({"turns": (*ANSWERED, Turn("user", (PNG,)))}, {"2"}),
        ({"turns": (said("user", "hi"), said("assistant", LONG))}, set()),
        ({"turns": (said("user", LONG), said("assistant", "It"))}, {"0"}),
        (
            {
                "turns": (
                    said("user", "hi"),
                    Turn("assistant", (use("1"),)),
                    Turn("user", (gave("1", Text(LONG)),)),
                ),
                "tools": (WEATHER,),
            },
            {"2"},
        ),
    ],
)
def test_prefixes_that_will_be_repeated_end_in_a_cache_point(
    changes: dict[str, Any], expected: set[str]
) -> None:
    converse = translate(CACHING, **changes)

    assert points(converse) == expected
    assert complaint(converse) is None
    assert points(translate(ABLE, **changes)) == set()


def test_where_a_provider_takes_no_cache_point_there_is_none() -> None:
    nova = replace(CACHING, family="amazon")
    long_tool = replace(WEATHER, description=LONG)
    results = (
        said("user", "hi"),
        Turn("assistant", (use("1"),)),
        Turn("user", (gave("1", Text(LONG)),)),
    )
    for candidate, places in ((nova, set()), (CACHING, {"tools", "2"})):
        converse = translate(candidate, turns=results, tools=(long_tool,))
        assert points(converse) == places
    more = (*results[:2], Turn("user", (gave("1", Text(LONG)), Text("and now?"))))
    assert points(translate(nova, turns=more, tools=(WEATHER,))) == {"2"}
