"""`regroup doctor`: a row for every candidate, the cures below, and a status for scripts."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from regroup.errors import DataError, UpstreamError, UpstreamThrottledError
from tests.local.fakes import FakeChatModel, FakeClock
from tests.local.stack import CATALOG
from training.doctor_cli import Bench, doctor_app

TODAY = date(2026, 11, 28)


class Ward:
    """The command, with a model that fails as a test says."""

    def __init__(self) -> None:
        self.model = FakeChatModel(FakeClock())
        self.today = TODAY

    def run(self, *words: str, catalog: str = str(CATALOG)) -> Result:
        bench = Bench(chat_model=lambda: self.model, today=lambda: self.today)
        command = ["--catalog", catalog, *words]
        return CliRunner(env={"COLUMNS": "200"}).invoke(doctor_app, command, obj=bench)


@pytest.fixture
def ward() -> Ward:
    return Ward()


def row(result: Result, name: str) -> str:
    return next(line for line in result.stdout.splitlines() if line.split()[:1] == [name])


def test_where_all_answer_the_status_is_zero_and_every_row_has_its_figures(ward: Ward) -> None:
    result = ward.run()

    assert result.exit_code == 0, result.output
    # 10 tokens, 3 read from the cache and 4 written to it; 20 tokens of answer.
    assert row(result, "haiku").split()[1] == "answers"
    assert row(result, "haiku").split()[3:] == ["17/20", "0.000013"]
    assert "4 of 4 candidates answer, 0 refused" in result.stdout
    assert "run this once more after 15 minutes" in result.stdout


def test_amazons_own_models_need_no_second_look(ward: Ward) -> None:
    assert "15 minutes" not in ward.run("--candidates", "nova-lite").stdout


def test_one_refusal_makes_the_status_one_and_says_what_to_do(ward: Ward) -> None:
    ward.model.plan("sonnet", [throttled()])
    result = ward.run()

    assert result.exit_code == 1
    assert row(result, "sonnet").split()[:2] == ["sonnet", "refused"]
    assert "quota" in row(result, "sonnet")
    assert "sonnet (request r-7): the account's quota" in result.stdout
    assert "the code is ThrottlingException" in result.stdout
    assert "3 of 4 candidates answer, 1 refused" in result.stdout
    assert "canary" not in result.stdout


def test_the_same_cure_is_told_once_for_all_it_helps(ward: Ward) -> None:
    for name in ("haiku", "sonnet"):
        ward.model.plan(name, [throttled()])
    result = ward.run("--candidates", "sonnet,haiku")

    assert "haiku (request r-7), sonnet (request r-7): the account's quota" in result.stdout
    assert result.stdout.count("cure: ") == 1


def test_whom_the_residency_keeps_out_is_no_failure(ward: Ward) -> None:
    result = ward.run("--residency", "jp")

    assert result.exit_code == 0
    assert row(result, "llama-70b").split()[1:3] == ["left", "out"]
    assert "llama-70b" not in ward.model.asked


def test_where_nobody_is_left_to_ask_the_status_is_one(ward: Ward) -> None:
    assert ward.run("--residency", "jp", "--candidates", "llama-70b").exit_code == 1


def test_old_prices_and_a_near_end_are_warnings_only(ward: Ward) -> None:
    ward.today = date(2027, 3, 1)
    assert "llama-70b: warning: it ends on 2027-03-30, in 29 days" in ward.run().stdout
    ward.today = date(2027, 6, 1)
    result = ward.run("--candidates", "haiku")
    assert "haiku: warning: its oldest price is of 2026-11-24" in result.stdout
    assert result.exit_code == 0


def test_json_holds_all_that_the_table_says(ward: Ward) -> None:
    ward.model.plan("sonnet", [throttled()])
    result = ward.run("--residency", "jp", "--json")
    report: dict[str, Any] = json.loads(result.stdout)
    by_name = {one.pop("name"): one for one in report["candidates"]}

    assert result.exit_code == 1
    assert report["healthy"] is False
    assert by_name["haiku"]["result"] == "answers"
    assert by_name["haiku"]["input_tokens"] == 17
    assert by_name["haiku"]["cost_usd"] == pytest.approx(0.000013, abs=1e-6)
    assert by_name["sonnet"]["code"] == "ThrottlingException"
    assert by_name["sonnet"]["request_id"] == "r-7"
    assert by_name["sonnet"]["url"].startswith("https://ap-northeast-1.console.aws.amazon.com/")
    assert by_name["llama-70b"] == {
        "model": "us.meta.llama3-3-70b-instruct-v1:0",
        "region": "us-west-2",
        "result": "left out",
        "cause": "its residency is us: prompts may leave jp",
        "warnings": [],
    }


def test_a_name_that_the_catalog_lacks_is_told_with_those_it_has(ward: Ward) -> None:
    result = ward.run("--candidates", "haiku, opus")
    assert isinstance(result.exception, DataError)
    assert "no candidate 'opus': it has haiku, sonnet, nova-lite, llama-70b" in str(
        result.exception
    )
    assert ward.model.asked == []


def test_a_catalog_may_be_a_file_address(ward: Ward, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(CATALOG.read_bytes())
    assert ward.run(catalog=f"file:{tmp_path / 'c.json'}").exit_code == 0


def throttled() -> UpstreamError:
    """Return the error of an adapter with the SDK's own, as it looks, behind it."""
    hidden = Exception("canary")
    hidden.response = {  # type: ignore[attr-defined]
        "Error": {"Code": "ThrottlingException", "Message": "Too many requests, canary"},
        "ResponseMetadata": {"RequestId": "r-7"},
    }
    error = UpstreamThrottledError("ThrottlingException")
    error.__cause__ = hidden
    return error
