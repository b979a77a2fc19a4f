"""The sources by themselves: formatted, valid, their own tests green, every test file run."""

import json
import re
from pathlib import Path

import pytest

from tests.infra.terraform import (
    SOURCE,
    ModuleTests,
    Workplace,
    cli_configuration,
    find_mirror,
)

MODULES = sorted(folder.name for folder in (SOURCE / "modules").iterdir())


def test_the_sources_are_formatted(workplace: Workplace) -> None:
    assert workplace.run("fmt", "-check", "-recursive", "-diff") == ""


def test_the_sources_are_valid(workplace: Workplace) -> None:
    assert json.loads(workplace.run("validate", "-no-tests", "-json"))["valid"]


def test_every_module_has_a_test_file_and_every_file_is_run(module_tests: ModuleTests) -> None:
    files = {file.name for file in (SOURCE / "tests").iterdir() if file.is_file()}

    assert set(module_tests.runs) == files, "a file without `.tftest.hcl` is passed over in silence"
    assert {f"{module}.tftest.hcl" for module in MODULES} <= files


def test_every_run_of_the_modules_tests_passes(module_tests: ModuleTests) -> None:
    assert module_tests.failed == ()
    written = sum(
        len(re.findall(r"^run ", file.read_text(), re.MULTILINE))
        for file in (SOURCE / "tests").glob("*.tftest.hcl")
    )
    assert sum(module_tests.runs.values()) == written


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_the_four_files(module: str) -> None:
    files = {file.name for file in (SOURCE / "modules" / module).iterdir()}

    assert {"main.tf", "variables.tf", "outputs.tf", "versions.tf"} <= files


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.tf")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_variables_and_outputs_say_what_they_are(path: Path) -> None:
    for kind, name, body in re.findall(
        r'^(variable|output) "(\w+)" \{\n(.*?)^\}', path.read_text(), re.DOTALL | re.MULTILINE
    ):
        assert re.search(r'^  description = ".{10,}"$', body, re.MULTILINE), name
        if kind == "variable":
            assert re.search(r"^  type\s+= ", body, re.MULTILINE), name


def test_a_mirror_is_named_or_found_or_done_without(tmp_path: Path) -> None:
    assert find_mirror({}, tmp_path) is None
    provider = tmp_path / "plugins/registry.terraform.io/hashicorp/aws"
    provider.mkdir(parents=True)

    assert find_mirror({}, tmp_path) == tmp_path / "plugins"
    assert find_mirror({"TF_MIRROR": "/elsewhere"}, tmp_path) == Path("/elsewhere")


def test_without_a_mirror_terraform_downloads_as_it_always_does() -> None:
    assert cli_configuration(None) == ""
    assert '"/a mirror"' in cli_configuration(Path("/a mirror"))


def test_nothing_of_a_run_lies_beside_the_sources() -> None:
    left = [*SOURCE.rglob(".terraform"), *SOURCE.rglob("*.tfstate"), *SOURCE.rglob("*_override.tf")]

    assert left == []
