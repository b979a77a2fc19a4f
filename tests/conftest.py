"""What several test folders share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.local.artifacts import sample_artifact
from training.encoder import ensure_encoder, ensure_minilm

ROOT = Path(__file__).parents[1]

# A busy machine makes no property wrong.
settings.register_profile("patient", settings.default, deadline=None)
settings.load_profile("patient")


def pytest_configure() -> None:
    """Forget what the shell knows of AWS: a developer's profile must not decide a test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    # For tests that import onnxruntime without anything of ours.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the exported all-MiniLM-L6-v2; the export is kept between runs."""
    return ensure_minilm(ROOT / "build" / "encoder")


@pytest.fixture(scope="session")
def e5_small() -> Path:
    """The folder of the exported multilingual-e5-small; the export is kept between runs."""
    return ensure_encoder("e5-small", ROOT / "build" / "encoder")


@pytest.fixture(scope="session")
def small_router(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the digest of the small trained router; nobody may write into it."""
    return sample_artifact(tmp_path_factory.mktemp("small-router"))
