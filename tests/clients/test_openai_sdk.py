"""An existing OpenAI client changes its base URL and key, and works."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.local.artifacts import sample_artifact
from tests.local.stack import ROOT, LocalStack

PYTHON = ROOT / ".venv-compat/bin/python"
SCRIPT = Path(__file__).with_name("openai_sdk.py")


def test_the_openai_sdk_chats_streams_and_reads_errors(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.fail("run `make test-clients`: it builds .venv-compat")
    with LocalStack(artifact=sample_artifact(tmp_path)[0]) as stack:
        command = [str(PYTHON), "-I", str(SCRIPT), stack.url, stack.key]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert "What is 12 times 7?" in results["text"]
    assert results["streamed"] == results["text"]
    assert results["total_tokens"] == results["streamed_tokens"] > 0
    assert results["finish_reason"] == "stop"
    assert results["routed_model"] == "nova-lite"
    assert results["named"] == "haiku"
    assert results["wrong_key"] == "AuthenticationError invalid_api_key"
    assert results["wrong_model"] == "NotFoundError model_not_found"
