"""What many tests look at, each seen once; its figures go into build/bench/infra.json."""

import json
from pathlib import Path

import pytest

from tests.infra.cycle import Cycle, run_cycle
from tests.infra.scan import Scan, scan_terraform
from tests.infra.terraform import ROOT, ModuleTests, Workplace, run_module_tests

FIGURES = ROOT / "build/bench/infra.json"
ORDER = (
    "resources",
    "apply_seconds",
    "replan_changes",
    "left_after_destroy",
    "checkov_failed",
    "checkov_skips",
    "tftest_files",
    "tftest_runs",
)
"""Of the figures that are always there; the others follow."""


@pytest.fixture(scope="session", autouse=True)
def figures() -> None:
    """Begin without the figures of another run."""
    FIGURES.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def cycle(small_router: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Cycle:
    """What was seen while a deployment was applied, asked, changed and destroyed."""
    found = run_cycle(tmp_path_factory.mktemp("cycle"), small_router[0])
    _note(
        resources=len(found.resources),
        apply_seconds=round(found.apply_seconds, 1),
        destroy_seconds=round(found.destroy_seconds, 1),
        cycle_seconds=round(found.seconds, 1),
        replan_changes=len(found.after_apply) + len(found.after_publish),
        left_after_destroy=len(found.left) + len(found.state_left),
    )
    return found


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A copy of the sources with the provider in place."""
    found = Workplace(tmp_path_factory.mktemp("terraform"))
    found.run("init", "-backend=false", "-input=false", "-no-color")
    return found


@pytest.fixture(scope="session")
def module_tests(workplace: Workplace) -> ModuleTests:
    """What `terraform test` said."""
    found = run_module_tests(workplace)
    _note(
        tftest_files=len(found.runs),
        tftest_runs=sum(found.runs.values()),
        tftest_seconds=round(found.seconds, 1),
    )
    return found


@pytest.fixture(scope="session")
def scan() -> Scan:
    """What checkov said."""
    found = scan_terraform()
    _note(checkov_failed=len(found.failed), checkov_skips=len(found.skipped))
    return found


def _note(**figures: float) -> None:
    known = {**(json.loads(FIGURES.read_bytes()) if FIGURES.exists() else {}), **figures}
    first = {name: known[name] for name in ORDER if name in known}
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps(first | known, indent=1) + "\n")
