"""The levers on the start change what they say they change."""

from pathlib import Path

import pytest

from tests.bench.start_levers import LEVERS, Lever, move
from tests.local.unpacked import Unpacked

CLASSIFIER = Path(__file__).parents[2] / "lambdas/classifier"


@pytest.fixture
def shipped(tmp_path: Path) -> Unpacked:
    home = Unpacked(tmp_path / "task", tmp_path / "layers", tmp_path / "managed")
    for folder in (home.task / "classifier", home.layers / "__pycache__"):
        folder.mkdir(parents=True)
    for name in ("entry.py", "bootstrap.py"):
        source = (CLASSIFIER / name).read_text(encoding="utf-8")
        (home.task / "classifier" / name).write_text(source, encoding="utf-8")
    return home


@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.name)
def test_a_lever_finds_what_it_takes_back(lever: Lever, shipped: Unpacked, tmp_path: Path) -> None:
    moved = move(lever, shipped, tmp_path / "moved")
    for name, (_, new) in lever.edits.items():
        assert new in (moved.task / "classifier" / name).read_text(encoding="utf-8")
    compiled = any(moved.task.rglob("*.pyc"))
    assert compiled == lever.bytecode


def test_a_lever_without_its_place_says_so(shipped: Unpacked, tmp_path: Path) -> None:
    lever = Lever("gone", {"entry.py": ("not there", "")})
    with pytest.raises(ValueError, match="mend the lever 'gone'"):
        move(lever, shipped, tmp_path / "moved")
