"""The documents say what the code does: settings, codes, fields and commands."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from classifier.settings import Settings as ClassifierSettings
from collector.settings import Settings as CollectorSettings
from regroup.domain.decision import CacheState
from regroup.domain.policy import Reason
from tests.unit.test_events import a_decision_line

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
README_JA = (ROOT / "README.ja.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            one.name.upper()
            for kind in (ClassifierSettings, CollectorSettings)
            for one in fields(kind)
        }
    ),
)
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README


def test_every_error_code_is_in_the_readme() -> None:
    sources = [*(ROOT / "lambdas/classifier").glob("*.py"), *(ROOT / "layers").rglob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    codes = set(re.findall(r'code="([a-z_]+)"', text))
    codes |= set(re.findall(r'\d{3}, "([a-z_]+)"$', text, flags=re.MULTILINE))
    assert len(codes) > 10
    assert {code for code in codes if f"`{code}`" not in README} == set()


def test_every_field_of_a_decision_line_is_in_the_architecture() -> None:
    missing = {field for field in a_decision_line() if f"`{field}" not in ARCHITECTURE}
    assert missing == set()


@pytest.mark.parametrize("word", [*Reason, *CacheState])
def test_every_reason_and_cache_state_is_in_the_architecture(word: str) -> None:
    assert f"`{word}`" in ARCHITECTURE


def test_every_make_target_in_the_readmes_exists_and_every_target_says_what_it_does() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, flags=re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", README + README_JA))
    assert named <= targets
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == targets


def test_both_readmes_give_the_same_commands_and_the_same_numbers() -> None:
    def commands(text: str) -> list[str]:
        blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ ")]
        return [line.split("  #")[0].rstrip() for line in lines]

    assert commands(README) == commands(README_JA)
    numbers = set(re.findall(r"\b\d+\.\d+\b", README))
    assert numbers == set(re.findall(r"\b\d+\.\d+\b", README_JA))
