"""Nothing of what a team asks or serves is reported to the maker of a library."""

import subprocess
import sys
from pathlib import Path

import pytest


def traces_of(code: str, home: Path) -> list[str]:
    """Run Python in an empty home; return the files that it left there."""
    # Of the shell's environment nothing: onnxruntime also keeps quiet where CI is set.
    subprocess.run([sys.executable, "-c", code], env={"HOME": str(home)}, check=True)
    return [path.name for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("module", ["regroup.adapters.onnx_encoder", "training.encoder"])
def test_onnxruntime_keeps_no_device_id_and_no_database_of_what_it_would_report(
    module: str, tmp_path: Path
) -> None:
    assert traces_of(f"import {module}", tmp_path) == []


def test_left_to_itself_it_would(tmp_path: Path) -> None:
    # Once this fails, the setting can go.
    assert "deviceid" in traces_of("import onnxruntime", tmp_path)
