"""Nothing of what a team asks or serves is reported to the maker of a library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

QUIET = {"HOME", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"}


def traces_of(code: str, home: Path) -> list[str]:
    """Run Python in an empty home; return the files that it left there."""
    environment = {name: value for name, value in os.environ.items() if name not in QUIET}
    subprocess.run([sys.executable, "-c", code], env={**environment, "HOME": str(home)}, check=True)
    return [path.name for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("module", ["regroup.adapters.onnx_encoder", "training.encoder"])
def test_onnxruntime_keeps_no_device_id_and_no_database_of_what_it_would_report(
    module: str, tmp_path: Path
) -> None:
    assert traces_of(f"import {module}", tmp_path) == []


def test_left_to_itself_it_would(tmp_path: Path) -> None:
    # Once this fails, the setting can go.
    assert "deviceid" in traces_of("import onnxruntime", tmp_path)
