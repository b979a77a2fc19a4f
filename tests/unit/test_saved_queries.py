"""The saved queries of Logs Insights ask for nothing that the log lines do not have."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

import pytest

from regroup.errors import UpstreamThrottledError
from tests.local.stack import ROOT
from tests.local.world import chat_body, small_world
from training.watch_cli import Query, read_queries

QUERIES = read_queries(ROOT / "terraform/queries")

_WORDS = frozenset(
    {"and", "as", "asc", "by", "dedup", "desc", "display", "fields", "filter", "in"}
    | {"like", "limit", "not", "or", "sort", "stats"}
)
_QUOTED = re.compile(r'"[^"]*"')
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_ALIAS = re.compile(r"\bas\s+(\w+)")
_EVENT = re.compile(r'\bevent = "(\w+)"')
_NAME = re.compile(r"(?<![\w.@])[A-Za-z_][\w.]*(?![\w.]*\s*\()")
"""A word, unless it is a function's name; what begins with @ is CloudWatch's own."""


def names_in(text: str) -> set[str]:
    """Return the fields of log lines that a query reads."""
    plain = _QUOTED.sub("", _COMMENT.sub("", text))
    aliases = set(_ALIAS.findall(plain))
    return {name for name in _NAME.findall(plain) if name not in _WORDS | aliases}


@cache
def known() -> Mapping[str, set[str]]:
    """Return the fields of each event, from the lines of a router at work."""
    world = small_world()
    world.chat_model.plan("medium", [UpstreamThrottledError("slow down")])
    # Two turns of a conversation, the first after a fallback; a dry run; a judgement; a refusal.
    first = world.handle(chat_body("Hello, who are you?", model="regroup"), key_id="key-1")
    list(first.body)
    list(world.handle(chat_body("Hello, who are you?", model="regroup"), key_id="key-1").body)
    world.handle(chat_body(model="regroup"), path="/v1/route", key_id="key-1")
    judged = {"decision_id": first.headers["x-regroup-decision-id"], "reward": 0.5}
    world.handle(judged, path="/v1/feedback", key_id="key-1")
    world.handle(chat_body(model="regroup", regroup={"max_cost_usd": 1e-12}), key_id="key-1")
    fields: dict[str, set[str]] = {}
    for line in world.telemetry.lines:
        fields.setdefault(line["event"], set()).update(_flat(line))
    return fields


def _flat(value: object, place: str = "") -> Iterator[str]:
    """Yield the names that Logs Insights gives to the fields of a line of JSON."""
    if place:
        yield place
    parts: list[tuple[object, object]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    for name, part in parts:
        yield from _flat(part, f"{place}.{name}" if place else str(name))


def test_the_router_at_work_wrote_a_line_of_each_event() -> None:
    assert known().keys() == {"decision", "reward_scored", "refused"}


def test_names_are_found_wherever_a_query_may_use_them() -> None:
    text = """# a comment, with words
    filter event = "decision" and ispresent(one) or two.0.three >= 400
    | stats pct(four, 50) as p50, count() as n by datefloor(@timestamp, 1d) as day, five
    | sort p50 desc, day asc"""
    assert names_in(text) == {"event", "one", "two.0.three", "four", "five"}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_saved_query_asks_for_fields_that_its_events_lines_have(query: Query) -> None:
    events = _EVENT.findall(query.text)
    assert events
    assert names_in(query.text) - set().union(*(known()[event] for event in events)) == set()


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_saved_query_says_in_its_first_line_what_it_answers(query: Query) -> None:
    assert query.text.startswith("# ")
    assert "?" in query.title
