"""The package, built once from this checkout."""

from pathlib import Path

import pytest

from layers.package import build_package


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the zips."""
    folder = tmp_path_factory.mktemp("zips") / "package"
    build_package(folder)
    return folder
