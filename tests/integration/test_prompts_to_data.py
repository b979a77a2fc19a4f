"""From a seed to labelled data by the command line, with candidates asked over HTTP."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regroup.catalog_file import read_catalog
from tests.local.bedrock import LoopbackBedrock
from tests.local.stack import CATALOG
from tests.local.stand_ins import profile
from training.dataset import read_dataset

PROMPTS = 36


@pytest.fixture(scope="module")
def bedrock() -> Iterator[LoopbackBedrock]:
    catalog = read_catalog(CATALOG.read_bytes(), place=str(CATALOG))
    with LoopbackBedrock(profile("specialists", catalog)) as running:
        yield running


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory, bedrock: LoopbackBedrock) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    regroup(bedrock, "prompts", "--n", str(PROMPTS), "--seed", "3", "--out", str(path))
    return path


def regroup(bedrock: LoopbackBedrock, *words: str) -> str:
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "loopback",
        "AWS_SECRET_ACCESS_KEY": "loopback",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.endpoint_url,
    }
    command = [sys.executable, "-m", "training.cli", *words]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_candidate_is_asked_and_scored(
    bedrock: LoopbackBedrock, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labelled.jsonl"
    said = regroup(
        bedrock, "collect", "--prompts", str(prompts), "--catalog", str(CATALOG),
        "--budget-usd", "1", "--out", str(out),
    )  # fmt: skip
    assert "0 answers failed, 0 not asked for" in said
    data = read_dataset(out)
    assert data.candidates == ("haiku", "llama-70b", "nova-lite", "sonnet")
    assert len(data) == PROMPTS
    assert 0.3 < data.rewards.mean() < 0.95
    assert (data.cost_usd > 0).all()


def test_the_budget_stops_the_asking_and_says_so(
    bedrock: LoopbackBedrock, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labelled.jsonl"
    said = regroup(
        bedrock, "collect", "--prompts", str(prompts), "--catalog", str(CATALOG),
        "--budget-usd", "0.001", "--out", str(out),
    )  # fmt: skip
    spent = float(said.split("spent ")[1].split()[0])
    assert spent <= 0.001
    assert "0 not asked for" not in said


def test_where_nobody_answers_nothing_is_written_and_the_cause_is_named(
    prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labelled.jsonl"
    with LoopbackBedrock(models=()) as empty, pytest.raises(AssertionError, match="haiku: denied"):
        regroup(
            empty, "collect", "--prompts", str(prompts), "--catalog", str(CATALOG),
            "--budget-usd", "1", "--out", str(out),
        )  # fmt: skip
    assert not out.exists()
