"""What several test folders share."""

from pathlib import Path

import pytest

from training.encoder import ensure_minilm

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the exported all-MiniLM-L6-v2; the export is kept between runs."""
    return ensure_minilm(ROOT / "build" / "encoder")
