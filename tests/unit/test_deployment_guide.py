"""The deployment guide says what there is: targets, commands, settings, alarms and links."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main

from regroup.catalog_file import read_catalog
from training.cli import app
from training.cost import INFRASTRUCTURE, MIX, Deployment, Section, Traffic, bill, total_usd
from training.prices import read_prices

ROOT = Path(__file__).parents[2]
TERRAFORM = ROOT / "terraform"
GUIDES = {name: (TERRAFORM / name).read_text("utf-8") for name in ("README.md", "README.ja.md")}

guides = pytest.mark.parametrize("guide", GUIDES.values(), ids=GUIDES)

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SETTING = re.compile(r"^\| `(\w+)` \| (`[^`]*`|required|必須) \|", re.MULTILINE)
_VARIABLE = re.compile(r'^variable "(\w+)" \{\n(.*?)^\}', re.DOTALL | re.MULTILINE)
_DEFAULT = re.compile(r"^  default +=\s+(.*)$", re.MULTILINE)
_MODULE = re.compile(
    r'^module "\w+" \{\n  source += "\./modules/(\w+)"\n(.*?)^\}', re.DOTALL | re.M
)
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")


def read(path: str) -> str:
    return (TERRAFORM / path).read_text("utf-8")


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", _BLOCK.sub("", text), flags=re.MULTILINE)


def anchor(heading: str) -> str:
    """Return what GitHub calls a heading in an address."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def commands(text: str) -> list[str]:
    lines = [line for _, block in _BLOCK.findall(text) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def calls_of_regroup(text: str) -> Iterator[tuple[list[str], set[str]]]:
    """Yield the words after every `.venv/bin/regroup`, and the options among them."""
    for line in commands(text):
        if called := line.partition(".venv/bin/regroup ")[2]:
            yield called.split(), set(re.findall(r"(?<!\S)--[a-z-]+", called))


def variables(path: str) -> dict[str, str | None]:
    """Return the variables of a file and their defaults as they are written; None: required."""
    found = {}
    for name, body in _VARIABLE.findall(read(path)):
        default = _DEFAULT.search(body)
        found[name] = default[1] if default else None
    return found


def _given(threshold: str, body: str, defaults: Mapping[str, str | None]) -> str | None:
    """Return what a module's call gives for a threshold, else its default."""
    name = threshold.removeprefix("var.")
    given = re.search(rf"^  {name} += (\S+)", body, re.MULTILINE)
    return given[1] if given else defaults.get(name, threshold)


def alarms() -> set[str]:
    """Return the names of all alarms, without the deployment's name before them."""
    inner = variables("modules/lambda_function/variables.tf")
    text = read("modules/lambda_function/main.tf")
    kinds = re.findall(
        r"^      (\w+) = \{\n(?:        .*\n)*?        threshold = (.*)$", text, re.M
    )
    found = {
        f"{name}-{kind}"
        for source, body in _MODULE.findall(read("main.tf"))
        if source == "lambda_function"
        for name in re.findall(r'^  name += "\$\{var\.name\}-(\w+)"$', body, re.MULTILINE)
        for kind, threshold in kinds
        if _given(threshold, body, inner) != "null"
    }
    whole = read("modules/observability/main.tf")
    for group in ("counted", "rates"):
        body = re.search(rf"^  {group} = \{{\n(.*?)^  \}}$", whole, re.DOTALL | re.MULTILINE)
        assert body is not None
        named = re.findall(r"^    (\w+) = \{$", body[1], re.MULTILINE)
        found |= {name.replace("_", "-") for name in named}
    return found


@guides
def test_every_make_target_in_the_guide_exists(guide: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^\$ )make ([a-z-]+)", guide, re.MULTILINE))
    assert {"deploy", "smoke", "destroy"} <= named
    assert named - targets == set()


@guides
def test_every_regroup_command_in_the_guide_exists_with_its_options(guide: str) -> None:
    calls = list(calls_of_regroup(guide))
    assert len(calls) > 10
    for words, options in calls:
        command: Any = typer.main.get_command(app)
        while subcommands := getattr(command, "commands", None):
            assert words[0] in subcommands
            command, words = subcommands[words[0]], words[1:]
        assert options - {name for one in command.params for name in one.opts} == set()


@guides
def test_every_output_and_query_in_the_guide_exists(guide: str) -> None:
    outputs = set(re.findall(r'^output "(\w+)"', read("outputs.tf"), re.MULTILINE))
    named = set(re.findall(r"output -raw (\w+)", guide))
    assert named
    assert named - outputs == set()
    queries = {path.stem for path in (TERRAFORM / "queries").glob("*.cwli")}
    lists = re.findall(r"(?:[Qq]uer(?:y|ies)|クエリー) ((?:`[a-z-]+`(?:, |、)?)+)", guide)
    asked = {name for one in lists for name in re.findall(r"`([a-z-]+)`", one)}
    assert asked
    assert asked - queries == set()


def test_alarms_are_found_where_they_are_made() -> None:
    found = alarms()
    assert {"classifier-slow", "authorizer-throttles", "error-rate", "dead-letters"} <= found
    assert "authorizer-slow" not in found


@guides
@pytest.mark.parametrize("alarm", sorted(alarms()))
def test_every_alarm_has_a_row_in_the_runbook(guide: str, alarm: str) -> None:
    runbook = re.split(r"^## ", guide, flags=re.MULTILINE)[6]
    (row,) = re.findall(rf"^\| `{alarm}` \|(.*)\|$", runbook, re.MULTILINE)
    assert all(cell.strip() for cell in re.split(r"(?<!\\)\|", row))
    assert row.count(" | ") == 2


@guides
def test_every_setting_in_the_guide_exists_and_has_the_default_it_says(guide: str) -> None:
    known = variables("variables.tf")
    said = dict(_SETTING.findall(guide))
    assert len(said) > 20
    assert said.keys() - known.keys() == set()
    defaults = {name: f"`{known[name]}`" if known[name] else said[name] for name in said}
    assert said == defaults
    required = {name for name, cell in said.items() if not cell.startswith("`")}
    assert required == {name for name in said if known[name] is None}


@guides
def test_every_link_within_the_repository_leads_somewhere(guide: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)]*)\)", guide)
    assert links
    for link in links:
        path, _, place = link.partition("#")
        target = TERRAFORM / path if path else None
        assert target is None or target.exists(), link
        text = guide if target is None else target.read_text("utf-8")
        assert not place or place in map(anchor, headings(text)), link


@guides
def test_what_a_month_costs_is_about_what_make_cost_prints(guide: str) -> None:
    catalog = read_catalog((TERRAFORM / "catalog.json").read_bytes(), place="catalog.json")
    prices = read_prices((TERRAFORM / "prices.json").read_bytes(), place="prices.json").prices
    lines = bill(Deployment(), Traffic(), prices, catalog, MIX)
    sentence = guide[guide.index("`make cost`") :].split("\n\n")[0]
    amounts = [int(amount) for amount in re.findall(r"(\d+) USD", sentence)]
    months = [
        total_usd(lines, requests, sections)
        for requests in (3_000, 300_000)
        for sections in (INFRASTRUCTURE, {Section.MODELS})
    ]
    assert amounts == pytest.approx(months, rel=0.1)


def test_both_languages_give_the_same_commands_settings_and_sources() -> None:
    english, japanese = GUIDES.values()
    assert commands(english) == commands(japanese)
    blocks = [[one for one in _BLOCK.findall(guide) if one[0]] for guide in GUIDES.values()]
    assert blocks[0] == blocks[1]
    settings = [[name for name, _ in _SETTING.findall(guide)] for guide in GUIDES.values()]
    assert settings[0] == settings[1]
    addresses = [re.findall(r"\]\((https?:[^)]*)\)", guide) for guide in GUIDES.values()]
    assert sorted(addresses[0]) == sorted(addresses[1])
    assert len(headings(english)) == len(headings(japanese))
