"""The first router by the command line: interrupted, gone on with, published, and left alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from regroup.catalog_file import read_catalog
from tests.local.aws import ACCOUNT_ID, LoopbackAws
from tests.local.bedrock import LoopbackBedrock, Status
from tests.local.stack import ARTIFACTS, CATALOG, POINTER, POINTER_PREFIX
from tests.local.stand_ins import profile
from training.dataset import read_dataset
from training.prompts import generate, write_prompts

PROMPTS, CANDIDATES = 300, ("haiku", "nova-lite")
CATALOG_URI = f"s3://{ARTIFACTS}/catalog/catalog.json"
POINTER_URI = f"s3://{ARTIFACTS}/{POINTER_PREFIX}/{POINTER}"


@dataclass(frozen=True)
class Account:
    """An empty deployment: a bucket with a catalog, and stand-in models."""

    aws: LoopbackAws
    bedrock: LoopbackBedrock

    def start(self, *words: str) -> "subprocess.Popen[str]":
        environment = self.aws.environment(bedrock_endpoint_url=self.bedrock.endpoint_url)
        return subprocess.Popen(
            [sys.executable, "-m", "training.cli", *words],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What a shell runs in its background is deaf to Ctrl-C, and so is what that starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        said, complaint = process.communicate(timeout=120)
        return process.returncode, said + complaint


@pytest.fixture
def account() -> Iterator[Account]:
    catalog = read_catalog(CATALOG.read_bytes(), place=str(CATALOG))
    with LoopbackAws() as aws, LoopbackBedrock(profile("specialists", catalog)) as bedrock:
        aws.create_bucket(ARTIFACTS)
        aws.client("s3").put_object(
            Bucket=ARTIFACTS, Key="catalog/catalog.json", Body=CATALOG.read_bytes()
        )
        yield Account(aws, bedrock)


def test_an_interrupted_bootstrap_goes_on_where_it_was_and_publishes_a_router(
    account: Account, tmp_path: Path
) -> None:
    command = (
        "bootstrap", "--catalog", CATALOG_URI, "--to", POINTER_URI, "--budget-usd", "1",
        "--n", str(PROMPTS), "--language", "en", "--candidates", ",".join(CANDIDATES),
        "--publisher-role", f"arn:aws:iam::{ACCOUNT_ID}:role/regroup-dev-publisher",
        "--out", str(tmp_path), "--yes",
    )  # fmt: skip
    first = account.start(*command)
    assert account.bedrock.wait_for_calls(60, timeout_seconds=60)
    first.send_signal(signal.SIGINT)
    said, complaint = first.communicate(timeout=60)
    [labelled] = tmp_path.glob("labelled-*.jsonl")
    kept = len(read_dataset(labelled))

    assert first.returncode == 130, complaint
    assert f"interrupted: {kept} prompts are kept in {labelled}" in said
    assert 0 < kept < PROMPTS

    status, said = account.run(*command)
    assert status == 0, said
    assert f"{kept} were asked before" in said
    assert f"{PROMPTS} prompts scored" in said
    assert "published: the learned router" in said
    # Everything once, and both looks.
    assert len(account.bedrock.calls) == len(CANDIDATES) * (PROMPTS + 2)
    assert read_dataset(labelled).candidates == CANDIDATES
    status, said = account.run("status", "--pointer", POINTER_URI)
    assert "learned from the bundled prompts" in said

    status, said = account.run(*command)
    assert status == 0
    assert "nothing is new: what is live was trained on these very answers" in said
    assert len(account.bedrock.calls) == len(CANDIDATES) * (PROMPTS + 3)


def test_a_bucket_that_is_not_there_is_told_before_money_is_spent(
    account: Account, tmp_path: Path
) -> None:
    status, said = account.run(
        "bootstrap", "--catalog", CATALOG_URI, "--to", "s3://nowhere/pointer.json",
        "--budget-usd", "2", "--out", str(tmp_path / "out"), "--yes",
    )  # fmt: skip

    assert status == 1
    assert "regroup: S3 refused to write s3://nowhere/pointer.json" in said
    assert account.bedrock.calls == []


def test_the_doctor_reads_a_deployments_catalog_and_its_status_is_for_scripts(
    account: Account,
) -> None:
    status, said = account.run("doctor", "--catalog", CATALOG_URI, "--residency", "jp")
    assert (status, "3 of 4 candidates answer, 0 refused" in said) == (0, True), said

    account.bedrock.plan(
        "jp.anthropic.claude-haiku-5-5", [Status(403, "AccessDeniedException", "canary")]
    )
    status, said = account.run("doctor", "--catalog", CATALOG_URI, "--candidates", "haiku")
    assert status == 1
    assert "AccessDeniedException" in said
    assert "canary" not in said
    assert "Traceback" not in said


def test_collect_reads_a_deployments_catalog_too(account: Account, tmp_path: Path) -> None:
    prompts, out = tmp_path / "prompts.jsonl", tmp_path / "labelled.jsonl"
    write_prompts(prompts, generate(4, ["en"], seed=0))
    status, said = account.run(
        "collect", "--prompts", str(prompts), "--catalog", CATALOG_URI, "--budget-usd", "1",
        "--out", str(out),
    )  # fmt: skip
    assert status == 0, said
    assert len(read_dataset(out)) == 4
