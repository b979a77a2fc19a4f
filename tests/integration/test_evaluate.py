"""`regroup evaluate` as a person runs it: figures, a report, and what it says of wrong input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.local.sample_data import write_sample_data


def evaluate(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "training.cli", "evaluate", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def done(folder: Path, minilm: Path) -> "subprocess.CompletedProcess[str]":
    data = write_sample_data(folder / "sample.jsonl", 400)
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    for row in rows[:60]:
        row["scores"]["newcomer"] = 0.5
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--data", data, "--encoder", minilm, "--n-clusters", "8")
    return evaluate(*options, "--json", "out/metrics.json", "--html", "out/report.html", cwd=folder)


def test_the_verdict_is_the_last_word_of_the_table(
    done: "subprocess.CompletedProcess[str]",
) -> None:
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "route (gain " in done.stdout
    for policy in ("best single", "random", "cluster-mean", "softmax", "default router"):
        assert policy in done.stdout


def test_a_candidate_scored_on_few_rows_is_said_to_be_left_out(
    done: "subprocess.CompletedProcess[str]",
) -> None:
    assert "left out, scored on too few rows to compare: newcomer\n" in done.stdout


def test_the_figures_are_those_of_the_table(
    done: "subprocess.CompletedProcess[str]", folder: Path
) -> None:
    figures = json.loads((folder / "out/metrics.json").read_text())
    assert figures["rows"] == 400
    assert figures["verdict"] in done.stdout
    assert figures["gain_low"] <= figures["gain"] <= figures["gain_high"]


def test_the_report_says_the_same_and_asks_for_nothing_from_outside(
    done: "subprocess.CompletedProcess[str]", folder: Path
) -> None:
    page = (folder / "out/report.html").read_text(encoding="utf-8")
    figures = json.loads((folder / "out/metrics.json").read_text())
    assert done.returncode == 0
    assert figures["verdict"] in page
    assert page.count("<svg") >= 4
    assert "<script" not in page


def test_a_router_of_no_such_name_is_refused_in_one_line(folder: Path, minilm: Path) -> None:
    data = write_sample_data(folder / "small.jsonl", 60)
    found = evaluate("--data", data, "--encoder", minilm, "--router", "oracle", cwd=folder)
    assert found.returncode == 1
    assert found.stderr.startswith("regroup: 'oracle' is no router that can be served; there are: ")
    assert found.stderr.count("\n") == 1


def test_too_few_scored_rows_are_refused_with_a_way_out(folder: Path, minilm: Path) -> None:
    data = write_sample_data(folder / "few.jsonl", 45)
    options = ("--data", data, "--encoder", minilm, "--n-clusters", "8")
    found = evaluate(*options, cwd=folder)
    assert found.returncode == 1
    assert "fewer than 50 rows have a reward from every candidate: score more" in found.stderr
