"""The served API that is fuzzed, and the environment that fuzzes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.artifacts import sample_artifact
from tests.local.stack import ROOT, LocalStack

PYTHON = ROOT / ".venv-compat/bin/python"


@pytest.fixture(scope="session")
def compat_python() -> Path:
    """The Python that has schemathesis."""
    if not (ROOT / ".venv-compat/.ready").exists():
        pytest.fail("run `make test-fuzz`: it builds .venv-compat")
    return PYTHON


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The deployment on loopback, with a small router."""
    with LocalStack(artifact=sample_artifact(tmp_path_factory.mktemp("artifact"))[0]) as running:
        yield running
