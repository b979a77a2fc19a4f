"""Requests made from the OpenAPI document, good and bad ones: the API answers as it documents."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.local.openapi_file import FILE
from tests.local.stack import LocalStack

HERE = Path(__file__).parent
CASES = 2_000
SECONDS = 230.0
SERVED = {"POST /v1/chat/completions": 100, "POST /v1/route": 100, "POST /v1/feedback": 20}
"""How many of the valid requests must have been served, not only refused in good form."""


def test_the_document_is_valid_by_the_official_schema(compat_python: Path, tmp_path: Path) -> None:
    assert complaints(compat_python, FILE) == []
    document = json.loads(FILE.read_text())
    document["components"]["schemas"]["Usage"]["exclusiveMinimum"] = 3
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(document))
    assert complaints(compat_python, broken) != []


def complaints(python: Path, file: Path) -> list[str]:
    command = [str(python), "-I", str(HERE / "official_schema.py"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def test_no_request_makes_the_api_fail_or_answer_otherwise_than_documented(
    stack: LocalStack, compat_python: Path, tmp_path: Path
) -> None:
    report = fuzz(stack, compat_python, tmp_path)
    assert report["complete"] is True
    assert report["failures"] == report["errors"] == []
    counts = report["test_cases"]
    assert counts["generated"] >= CASES
    assert counts["with_failures"] == counts["errored"] == 0
    operations = report["operations"]
    assert operations["tested"] == operations["total"] == len(list_operations())
    rates = report["valid_rates"]
    served = {name: sum(p["accepted"] for p in rates[name].values()) for name in SERVED}
    assert all(served[name] >= least for name, least in SERVED.items()), served
    assert "InternalErrors" not in "\n".join(stack.function.log_lines)


def fuzz(stack: LocalStack, python: Path, folder: Path) -> dict[str, Any]:
    """Run schemathesis in a folder of its own, which it fills with files, and read its report."""
    report = folder / "report.json"
    command = [
        *(str(python), "-I", "-m", "schemathesis.cli", "--no-color"),
        *("--config-file", str(HERE / "schemathesis.toml")),
        *("run", str(FILE), "--url", stack.url),
        *("--report", "json", "--report-json-path", str(report)),
    ]
    environment = {
        **{name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ},
        "REGROUP_KEY": stack.key,
        "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
    }
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            cwd=folder,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"schemathesis took more than {error.timeout} s")
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    read: dict[str, Any] = json.loads(report.read_text())
    return read


def list_operations() -> list[str]:
    paths = json.loads(FILE.read_text())["paths"]
    return [f"{method} {path}" for path, methods in paths.items() for method in methods]
