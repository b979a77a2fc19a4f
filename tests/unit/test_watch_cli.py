"""`regroup logs` and `queries`: what is printed, and what is asked for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from regroup.adapters.cloudwatch_logs import LogEvent
from regroup.errors import ConfigurationError
from training.watch_cli import Watch, read_queries, watch_app

NOW = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC."""
GROUP = "/aws/lambda/regroup-dev-classifier"


@dataclass
class Logs:
    """A log group in memory, and what queries of it give."""

    events: list[LogEvent] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    searches: list[tuple[str, str, float]] = field(default_factory=list)
    queries: list[tuple[str, str, float, float]] = field(default_factory=list)

    def search(self, group: str, pattern: str, *, since: float) -> Iterator[LogEvent]:
        self.searches.append((group, pattern, since))
        yield from self.events

    def query(self, group: str, text: str, *, since: float, until: float) -> list[dict[str, str]]:
        self.queries.append((group, text, since, until))
        return self.rows


@dataclass
class Post:
    """The two commands with a log group around them."""

    logs: Logs = field(default_factory=Logs)

    def run(self, *words: str) -> Result:
        logs: Any = self.logs
        watch = Watch(logs=lambda: logs, now=lambda: NOW, zone=UTC)
        return CliRunner(env={"COLUMNS": "250"}).invoke(watch_app, list(words), obj=watch)


@pytest.fixture
def post() -> Post:
    return Post()


# regroup logs


def decision(at: float, **fields: object) -> LogEvent:
    line = {
        "level": "INFO",
        "event": "decision",
        "at": at,
        "status": 200,
        "routed_model": "haiku",
        "reason": "learned",
        "latency_ms": 1234.5,
        "cost_usd": 0.000123,
        "fallbacks": 1,
        "decision_id": "0123abcd",
    }
    return LogEvent(at, json.dumps(line | fields))


def test_a_decision_is_one_line_with_all_that_matters_and_the_newest_is_last(post: Post) -> None:
    post.logs.events = [decision(NOW, decision_id="new"), decision(NOW - 60, status=503)]
    result = post.run("logs", "--log-group", GROUP)

    head, old, new = result.stdout.splitlines()
    assert head.split()[:2] == ["time", "status"]
    assert old.split() == [
        *("2026-09-21", "14:12:20+00:00", "503", "haiku", "learned"),
        *("1,234", "0.000123", "1", "0123abcd"),
    ]
    assert new.split()[-1] == "new"
    assert post.logs.searches == [(GROUP, '{ $.event = "decision" }', NOW - 900)]


def test_a_decision_that_was_only_asked_for_has_no_figures(post: Post) -> None:
    line = {"event": "decision", "at": NOW, "dry_run": True, "routed_model": "haiku"}
    post.logs.events = [LogEvent(NOW, json.dumps(line))]
    assert "dry run" in post.run("logs", "--log-group", GROUP).stdout


@pytest.mark.parametrize("at", [None, "yesterday", [], {}, 1e300])
def test_a_line_without_a_time_is_shown_all_the_same(post: Post, at: object) -> None:
    line = {"event": "decision", "at": at, "decision_id": "odd"}
    post.logs.events = [decision(NOW), LogEvent(NOW, json.dumps(line))]
    assert "odd" in post.run("logs", "--log-group", GROUP).stdout


def test_a_cost_that_is_not_known_is_left_empty(post: Post) -> None:
    post.logs.events = [decision(NOW, cost_usd=None, latency_ms=None)]
    assert post.run("logs", "--log-group", GROUP).exit_code == 0


def test_lines_of_another_event_and_of_no_event_are_left_out(post: Post) -> None:
    strange = [LogEvent(NOW, text) for text in ("START RequestId", "[]", '{"event": "started"}')]
    post.logs.events = [*strange, decision(NOW)]
    assert len(post.run("logs", "--log-group", GROUP).stdout.splitlines()) == 2


def test_other_events_show_their_fields(post: Post) -> None:
    line = {"level": "INFO", "event": "refused", "at": NOW, "status": 429, "code": "budget"}
    post.logs.events = [LogEvent(NOW, json.dumps(line))]
    result = post.run("logs", "--log-group", GROUP, "--event", "refused")
    assert result.stdout.splitlines()[1].endswith('status=429 code="budget"')


def test_json_gives_the_lines_as_they_are(post: Post) -> None:
    post.logs.events = [decision(NOW), decision(NOW - 1)]
    result = post.run("logs", "--log-group", GROUP, "--json")
    assert result.stdout.splitlines() == [one.message for one in reversed(post.logs.events)]


@pytest.mark.parametrize(
    ("since", "seconds"), [("30s", 30), ("15m", 900), ("2h", 7_200), ("1d", 86_400)]
)
def test_a_span_is_a_number_and_a_unit(post: Post, since: str, seconds: int) -> None:
    post.run("logs", "--log-group", GROUP, "--since", since)
    assert post.logs.searches[0][2] == NOW - seconds


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["--since", "15"], "as in 15m"),
        (["--since", "-1h"], "as in 15m"),
        (["--since", "0m"], "as in 15m"),
        (["--event", 'x" || $.event = "y'], "give one word"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_asked(
    post: Post, words: list[str], cure: str
) -> None:
    result = post.run("logs", "--log-group", GROUP, *words)
    assert isinstance(result.exception, ConfigurationError)
    assert cure in str(result.exception)
    assert post.logs.searches == []


def test_an_empty_log_says_why_that_may_be(post: Post) -> None:
    result = post.run("logs", "--log-group", GROUP)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "no decision line in 15m" in result.stderr


def test_of_very_many_lines_the_newest_are_shown_and_the_others_counted(post: Post) -> None:
    post.logs.events = [decision(NOW - number) for number in range(1_500)]
    result = post.run("logs", "--log-group", GROUP, "--json")
    times = [json.loads(line)["at"] for line in result.stdout.splitlines()]
    assert times == [NOW - number for number in reversed(range(200))]
    assert "1,300 older lines are left out" in result.stderr


def test_nothing_in_a_line_steers_the_terminal(post: Post) -> None:
    post.logs.events = [decision(NOW, routed_model="\x1b[2J[red]x")]
    assert "?[2J[red]x" in post.run("logs", "--log-group", GROUP).stdout


# regroup queries


def query_folder(folder: Path) -> list[str]:
    (folder / "cost.cwli").write_text('# What did it cost?\nfilter event = "decision"\n')
    (folder / "good.cwli").write_text('# How good is it?\nfilter event = "reward_scored"\n')
    return ["queries", "--log-group", GROUP, "--folder", str(folder)]


def test_each_query_is_a_table_under_its_first_comment(post: Post, tmp_path: Path) -> None:
    post.logs.rows = [
        {"routed_model": "haiku", "usd": "0.012345678", "requests": "1234", "last_at": str(NOW)},
        {"usd": "1E-4", "requests": "5", "last_at": "unknown"},
    ]
    result = post.run(*query_folder(tmp_path))

    lines = result.stdout.splitlines()
    assert lines[0] == "cost: What did it cost?"
    assert lines[1].split() == ["routed_model", "usd", "requests", "last_at"]
    assert lines[2].split() == ["haiku", "0.012346", "1,234", "2026-09-21", "14:13:20+00:00"]
    assert lines[3].split() == ["0.0001", "5", "unknown"]
    assert lines[5] == "good: How good is it?"


def test_a_query_is_sent_whole_for_the_days_before_now(post: Post, tmp_path: Path) -> None:
    post.run(*query_folder(tmp_path), "--name", "good", "--days", "2")
    text = '# How good is it?\nfilter event = "reward_scored"'
    assert post.logs.queries == [(GROUP, text, NOW - 2 * 86_400, NOW)]


def test_an_empty_result_says_why_that_may_be(post: Post, tmp_path: Path) -> None:
    result = post.run(*query_folder(tmp_path))
    assert result.exit_code == 0
    assert "no rows in 7 days: nothing was asked" in result.stdout
    assert "no rows in 7 days: no feedback has come yet" in result.stdout


def test_a_name_that_is_none_is_told_with_those_there_are(post: Post, tmp_path: Path) -> None:
    result = post.run(*query_folder(tmp_path), "--name", "accuracy")
    assert isinstance(result.exception, ConfigurationError)
    assert "there are cost, good" in str(result.exception)


def test_a_folder_without_queries_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="give --folder"):
        read_queries(tmp_path)


def test_a_query_without_a_comment_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "bare.cwli").write_text("fields @message")
    assert read_queries(tmp_path)[0].title == "bare"
