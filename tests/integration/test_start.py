"""What a start logs of itself, and what it leaves behind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regroup.domain.pointer import Pointer
from tests.local.stack import CATALOG, ROOT

PARTS = ("imports", "catalog", "pointer", "fetch", "check", "session", "golden")
ALWAYS = {"event", "total_ms", "degraded"}
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def start(program: str = "", **variables: str) -> list[Any]:
    """Import the entry in a process of its own, run a program after it, return what it printed."""
    run = subprocess.run(
        [sys.executable, "-c", f"import classifier.entry\n{program}"],
        env={"CATALOG_URI": CATALOG.as_uri(), **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stderr == ""
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture(scope="module")
def pointer(small_router: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a folder that the small router is published to."""
    artifact, digest = small_router
    folder = tmp_path_factory.mktemp("published")
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / digest).symlink_to(artifact)
    (folder / "pointer.json").write_bytes(Pointer(digest).to_bytes())
    return (folder / "pointer.json").as_uri()


def test_a_start_says_what_each_of_its_parts_took(
    pointer: str, small_router: tuple[Path, str]
) -> None:
    (line,) = start(POINTER_URI=pointer)
    assert (line["event"], line["version"], line["degraded"]) == ("started", small_router[1], False)
    times = {name: line[f"{name}_ms"] for name in PARTS}
    assert all(took > 0 for took in times.values())
    assert all(took == round(took, 1) for took in times.values())
    assert sum(times.values()) <= line["total_ms"] + 0.1 * len(PARTS)


def test_where_no_router_is_published_the_parts_that_never_came_are_left_out() -> None:
    (line,) = start()
    assert ALWAYS | {"imports_ms", "catalog_ms"} <= line.keys()
    assert {f"{name}_ms" for name in PARTS[2:]}.isdisjoint(line)
    assert "version" not in line


def test_a_start_with_an_artifact_that_is_not_there_is_degraded(tmp_path: Path) -> None:
    (tmp_path / "pointer.json").write_bytes(Pointer("0" * 64).to_bytes())
    *_, line = start(POINTER_URI=(tmp_path / "pointer.json").as_uri())
    assert (line["event"], line["degraded"]) == ("started", True)


def test_every_field_of_the_line_is_in_the_architecture(pointer: str) -> None:
    (line,) = start(POINTER_URI=pointer)
    own = ALWAYS | {"version"} | {f"{name}_ms" for name in PARTS}
    assert own <= line.keys()
    assert {name for name in (*own, "started") if f"`{name}`" not in ARCHITECTURE} == set()


def test_a_start_leaves_no_thread_and_no_garbage_for_the_first_request_to_find(
    pointer: str,
) -> None:
    program = (
        "import gc, json, os\n"
        "tasks = len(os.listdir('/proc/self/task'))\n"
        "print(json.dumps([tasks, gc.isenabled(), len(gc.get_objects()), gc.get_freeze_count()]))"
    )
    _line, (tasks, enabled, looked_through, frozen) = start(program, POINTER_URI=pointer)
    assert (tasks, enabled) == (1, True)
    assert looked_through < frozen / 10
