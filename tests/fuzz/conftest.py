"""The served API that is fuzzed, and the environment that fuzzes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.stack import ROOT, LocalStack

PYTHON = ROOT / ".venv-compat/bin/python"


@pytest.fixture(scope="session")
def compat_python() -> Path:
    """The Python that has schemathesis."""
    if not (ROOT / ".venv-compat/.ready").exists():
        pytest.fail("run `make test-fuzz`: it builds .venv-compat")
    return PYTHON


@pytest.fixture(scope="module")
def stack(small_router: tuple[Path, str]) -> Iterator[LocalStack]:
    """The deployment on loopback, with a small router."""
    with LocalStack(artifact=small_router[0]) as running:
        yield running
