"""The package, built once from this checkout."""

from pathlib import Path

import pytest

from layers.package import PACKAGE, build_package


@pytest.fixture(scope="session")
def package() -> Path:
    """The folder of the zips."""
    build_package(PACKAGE)
    return PACKAGE
