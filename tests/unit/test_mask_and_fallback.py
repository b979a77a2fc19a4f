"""Who cannot serve a request, and who rests."""

from collections.abc import Collection
from dataclasses import replace
from datetime import date

import pytest

from regroup.domain.catalog import (
    Capabilities,
    Catalog,
    Prices,
    Residency,
    count_scripts,
)
from regroup.domain.chat import (
    ChatRequest,
    Image,
    JsonSchema,
    NamedTool,
    Text,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from regroup.domain.fallback import Cooldowns, Deadline
from regroup.domain.mask import Hurdle, Needs, find_hurdles, needs_of
from tests.local.world import small_catalog

CANDIDATE = replace(
    small_catalog().candidates["small"],
    name="one",
    prices=Prices(1.0, 2.0),
    max_output_tokens=100,
)
NEEDS = Needs(script_counts=count_scripts("hello"), today=date(2026, 11, 24))


TOOLS = {"capabilities": Capabilities(tools=True)}
FORCED = {"capabilities": Capabilities(tools=True, forced_tool_choice=True)}


@pytest.mark.parametrize(
    ("changes", "needs", "hurdle"),
    [
        ({}, NEEDS, None),
        ({"end_of_life": date(2026, 11, 24)}, NEEDS, Hurdle.ENDED),
        ({"end_of_life": date(2026, 11, 25)}, NEEDS, None),
        ({"available_from": date(2026, 11, 25)}, NEEDS, Hurdle.NOT_YET),
        ({"capabilities": Capabilities(system=False)}, replace(NEEDS, system=True), Hurdle.SYSTEM),
        ({}, replace(NEEDS, script_counts=count_scripts("x" * 4_000)), Hurdle.CONTEXT),
        ({}, replace(NEEDS, script_counts=count_scripts("x" * 3_000)), None),
        ({}, replace(NEEDS, script_counts=count_scripts("日" * 1_000)), Hurdle.CONTEXT),
        ({}, replace(NEEDS, tools=True), Hurdle.TOOLS),
        (TOOLS, replace(NEEDS, tools=True), None),
        (TOOLS, replace(NEEDS, tools=True, forced_tool=True), Hurdle.FORCED_TOOL),
        (FORCED, replace(NEEDS, tools=True, forced_tool=True), None),
        ({}, replace(NEEDS, images=1), Hurdle.IMAGES),
        ({"capabilities": Capabilities(images=True)}, replace(NEEDS, images=1), Hurdle.CONTEXT),
        (
            {"capabilities": Capabilities(images=True), "context_tokens": 4_000},
            replace(NEEDS, images=2),
            None,
        ),
        ({}, replace(NEEDS, json_schema=True), Hurdle.JSON_SCHEMA),
        ({"capabilities": Capabilities(json_schema=True)}, replace(NEEDS, json_schema=True), None),
        # A tool that must be called writes JSON as well, unless tools of the request's own do.
        (FORCED, replace(NEEDS, json_schema=True), None),
        (FORCED, replace(NEEDS, json_schema=True, tools=True), Hurdle.JSON_SCHEMA),
        (FORCED, replace(NEEDS, json_schema=True, json_of_object=False), Hurdle.JSON_SCHEMA),
        ({}, replace(NEEDS, prefill=True), Hurdle.PREFILL),
        ({"capabilities": Capabilities(prefill=True)}, replace(NEEDS, prefill=True), None),
        ({}, replace(NEEDS, only=frozenset({"two"})), Hurdle.NOT_WANTED),
        ({}, replace(NEEDS, only=frozenset({"one", "two"})), None),
    ],
)
def test_each_hurdle_is_found(
    changes: dict[str, object], needs: Needs, hurdle: Hurdle | None
) -> None:
    catalog = Catalog({"one": replace(CANDIDATE, **changes)})  # type: ignore[arg-type]
    assert find_hurdles(catalog, needs, scored={"one"}, cooling=()) == {"one": hurdle}


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ((), {"jp", "apac", "us", "global"}),
        (("jp",), {"jp"}),
        (("apac",), {"jp", "apac"}),
        (("us",), {"us"}),
        (("global",), {"jp", "apac", "us", "global"}),
        # The deployment's and the request's: both hold.
        (("jp", "global"), {"jp"}),
        (("apac", "jp"), {"jp"}),
        (("jp", "us"), set()),
    ],
)
def test_residency_leaves_only_candidates_that_keep_the_prompt_there(
    asked: tuple[Residency, ...], allowed: set[Residency]
) -> None:
    places: tuple[Residency, ...] = ("jp", "apac", "us", "global")
    catalog = Catalog({p: replace(CANDIDATE, name=p, residency=p) for p in places})
    mask = find_hurdles(catalog, replace(NEEDS, residencies=asked), scored=set(places))
    assert {name for name, hurdle in mask.items() if hurdle is None} == allowed
    assert set(mask.values()) <= {None, Hurdle.RESIDENCY}


def test_what_a_request_needs_is_read_off_its_messages() -> None:
    tool = Tool("look", "Looks.", {"type": "object"})
    use, result = ToolUse("1", "look", "{}"), ToolResult("1", (Image("png", b"x"),))
    turns = (Turn("user", (Text("hi"), Image("png", b"x"))), Turn("assistant", (use,)))
    chat = ChatRequest((*turns, Turn("user", (result,))), ("be brief",), tools=(tool,))
    today = date(2026, 11, 24)

    needs = needs_of(chat, today)

    assert (needs.images, needs.system, needs.tools, needs.prefill) == (2, True, True, False)
    assert not needs.forced_tool
    sent = 'be briefhi1look{}1lookLooks.{"type": "object"}'
    assert needs.script_counts == count_scripts(sent)
    for choice in ("required", NamedTool("look")):
        assert needs_of(replace(chat, tool_choice=choice), today).forced_tool
    # Told as text, tools of earlier turns ask nothing of a candidate.
    assert not needs_of(replace(chat, tool_choice="none"), today).tools
    assert needs_of(replace(chat, turns=turns), today).prefill
    schema = JsonSchema("answer", {"type": "object"})
    assert needs_of(replace(chat, json_schema=schema), today).json_schema
    assert needs_of(replace(chat, json_schema=schema), today).json_of_object
    a_list = replace(schema, schema={"type": "array"})
    assert not needs_of(replace(chat, json_schema=a_list), today).json_of_object


@pytest.mark.parametrize(
    ("closed", "cooling", "expected"),
    [
        ((), (), {"one": None, "two": None, "dear": Hurdle.COST_CAP}),
        (("two",), (), {"one": None, "two": Hurdle.BUDGET, "dear": Hurdle.COST_CAP}),
        # What rests is tried again before a request is refused for its budget.
        (("two",), ("one",), {"one": None, "two": Hurdle.BUDGET, "dear": Hurdle.COST_CAP}),
    ],
)
def test_cost_cap_and_budget_close_candidates_that_could_serve(
    closed: tuple[str, ...], cooling: tuple[str, ...], expected: dict[str, Hurdle | None]
) -> None:
    catalog = Catalog({n: replace(CANDIDATE, name=n) for n in ("one", "two", "dear")})
    asked: list[list[str]] = []

    def ask_budget(able: Collection[str]) -> Collection[str]:
        asked.append(list(able))
        return closed

    mask = find_hurdles(
        catalog,
        NEEDS,
        scored=catalog.names,
        cooling=cooling,
        over_cap=("dear",),
        closed=ask_budget,
    )
    assert mask == expected
    assert asked == [["one", "two"]]


def test_a_candidate_without_a_prediction_is_left_out() -> None:
    catalog = Catalog({"one": CANDIDATE})
    assert find_hurdles(catalog, NEEDS, scored=(), cooling=()) == {"one": Hurdle.NOT_SCORED}


def test_a_resting_candidate_is_left_out_unless_it_is_the_last_one_standing() -> None:
    catalog = Catalog({"one": CANDIDATE, "two": replace(CANDIDATE, name="two")})
    both = {"one", "two"}
    assert find_hurdles(catalog, NEEDS, scored=both, cooling={"one"}) == {
        "one": Hurdle.COOLING_DOWN,
        "two": None,
    }
    assert set(find_hurdles(catalog, NEEDS, scored=both, cooling=both).values()) == {None}


def test_a_rest_ends_by_time_or_by_an_answer() -> None:
    cooldowns = Cooldowns(rest_seconds=30.0)
    cooldowns.rest("one", now=100.0)
    cooldowns.rest("two", now=100.0)
    cooldowns.wake("two")
    assert set(cooldowns.resting(129.9)) == {"one"}
    assert set(cooldowns.resting(130.0)) == set()


@pytest.mark.parametrize(("now", "seconds"), [(10.0, 18.0), (27.0, 1.0), (27.5, 0.0), (99.0, 0.0)])
def test_an_attempt_gets_the_time_left_or_is_not_begun(now: float, seconds: float) -> None:
    assert Deadline(28.0).attempt_seconds(now) == seconds
