"""The functions' log, read back with real boto3 over HTTP."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count, repeat
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import CredentialResolver
from botocore.exceptions import ClientError

from regroup.adapters.cloudwatch_logs import CloudWatchLogs, LogEvent
from regroup.errors import StoreError
from tests.local.aws import REGION, LoopbackAws
from tests.local.broken_table import FAULTS, broken_table
from tests.local.fakes import FakeClock

# CloudWatch, and its emulator, take no line that is weeks old.
NOW = float(int(time.time()) - 60)
QUERY = "fields @timestamp, @message | sort @timestamp asc | limit 2"
"""The emulator knows no other commands."""

_names = count()


@pytest.fixture(scope="module")
def aws() -> Iterator[LoopbackAws]:
    with LoopbackAws() as account:
        yield account


@pytest.fixture
def group(aws: LoopbackAws) -> str:
    """A log group with three lines in two streams."""
    client, name = aws.client("logs"), f"/aws/lambda/dev{next(_names)}-classifier"
    client.create_log_group(logGroupName=name)
    for stream, lines in {"one": [(3, "third"), (1, "first")], "two": [(2, "second")]}.items():
        client.create_log_stream(logGroupName=name, logStreamName=stream)
        client.put_log_events(
            logGroupName=name,
            logStreamName=stream,
            logEvents=[
                {"timestamp": int((NOW + at) * 1000), "message": f"the {word} line"}
                for at, word in sorted(lines)
            ],
        )
    return name


def found(aws: LoopbackAws, group: str, pattern: str, since: float) -> set[LogEvent]:
    return set(CloudWatchLogs(aws.client("logs")).search(group, pattern, since=since))


def test_lines_are_found_by_pattern_in_every_stream(aws: LoopbackAws, group: str) -> None:
    assert found(aws, group, '"line"', NOW) == {
        LogEvent(NOW + at, f"the {word} line")
        for at, word in ((1, "first"), (2, "second"), (3, "third"))
    }
    assert found(aws, group, '"second"', NOW) == {LogEvent(NOW + 2, "the second line")}
    assert found(aws, group, '"fourth"', NOW) == set()


@pytest.mark.parametrize(("since", "lines"), [(2.0, 2), (2.5, 1), (4.0, 0), (-NOW - 5, 3)])
def test_lines_before_a_time_are_left_out(
    aws: LoopbackAws, group: str, since: float, lines: int
) -> None:
    assert len(found(aws, group, '"line"', NOW + since)) == lines


def test_a_query_gives_its_rows_without_cloudwatchs_own_pointer(
    aws: LoopbackAws, group: str
) -> None:
    rows = CloudWatchLogs(aws.client("logs")).query(group, QUERY, since=NOW, until=NOW + 60)
    assert [row["@message"] for row in rows] == ["the first line", "the second line"]
    assert rows[0].keys() == {"@timestamp", "@message"}


def test_a_query_looks_at_its_time_span_alone(aws: LoopbackAws, group: str) -> None:
    logs = CloudWatchLogs(aws.client("logs"))
    assert logs.query(group, QUERY, since=NOW + 60, until=NOW + 120) == []


# What fails


def calls(logs: CloudWatchLogs, group: str) -> tuple[Callable[[], object], ...]:
    return (
        lambda: list(logs.search(group, '"line"', since=NOW)),
        lambda: logs.query(group, QUERY, since=NOW, until=NOW + 60),
    )


def check(logs: CloudWatchLogs, *sentences: str, group: str = "g") -> None:
    for call in calls(logs, group):
        with pytest.raises(StoreError) as caught:
            call()
        assert str(caught.value).startswith(f"log group {group}: ")
        assert all(one in str(caught.value) for one in sentences)
        assert caught.value.__cause__ is not None


def test_a_group_that_is_not_there_is_told_with_where_its_name_stands(aws: LoopbackAws) -> None:
    logs = CloudWatchLogs(aws.client("logs"))
    where = "output classifier_log_group"
    check(logs, "no such log group", where, "AWS_DEFAULT_REGION", group="nowhere")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_service_that_fails_is_a_store_error(fault: str) -> None:
    with broken_table(fault) as table:
        client = impatient(boto3.Session("none", "none"), table.meta.endpoint_url)
        check(CloudWatchLogs(client))
        client.close()


def test_without_credentials_it_says_how_to_give_some(aws: LoopbackAws) -> None:
    bare = botocore.session.get_session()
    bare.register_component("credential_provider", CredentialResolver(providers=[]))
    client = impatient(boto3.Session(botocore_session=bare), aws.endpoint_url)
    check(CloudWatchLogs(client), "no AWS credentials were found", "AWS_PROFILE")
    client.close()


def test_without_a_region_it_says_which_variable_to_set() -> None:
    with pytest.raises(StoreError, match="AWS_DEFAULT_REGION"):
        CloudWatchLogs.connect()


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("AccessDeniedException", "allow logs:FilterLogEvents"),
        ("ExpiredTokenException", "sign in again"),
        ("InvalidParameterException", "a shorter time"),
        ("LimitExceededException", "in a minute"),
        ("MalformedQueryException", "CloudWatch console"),
        ("ThrottlingException", "in a minute"),
        ("ServiceUnavailableException", "try again"),
    ],
)
def test_each_refusal_says_what_to_do_and_its_code_and_nothing_of_the_sdks_text(
    code: str, cure: str
) -> None:
    logs = CloudWatchLogs(Service(refusal=code))
    check(logs, cure, f"({code})")
    with pytest.raises(StoreError) as caught:
        logs.query("g", QUERY, since=NOW, until=NOW + 60)
    assert "canary" not in str(caught.value)


# A query that takes its time


class Service:
    """Gives a query these statuses in turn, or refuses everything."""

    def __init__(self, *statuses: str, refusal: str = "", clock: FakeClock | None = None) -> None:
        self._refusal = refusal
        self._statuses = iter(statuses)
        self.clock = clock or FakeClock()
        self.stopped: list[object] = []
        self.pages: list[object] = []

    def filter_log_events(self, **asked: object) -> Mapping[str, Any]:
        """Return three pages, the second of which is empty."""
        self._refuse()
        self.pages.append(asked.get("nextToken"))
        event = {"timestamp": 1_500, "message": "a line"}
        pages: dict[object, dict[str, Any]] = {
            None: {"events": [event], "nextToken": "2"},
            "2": {"events": [], "nextToken": "3"},
            "3": {"events": [event]},
        }
        return pages[asked.get("nextToken")]

    def start_query(self, **_: object) -> Mapping[str, Any]:
        self._refuse()
        return {"queryId": "q"}

    def get_query_results(self, **_: object) -> Mapping[str, Any]:
        status = next(self._statuses)
        row = [{"field": "n", "value": "1"}, {"field": "@ptr", "value": "x"}, {"field": "empty"}]
        return {"status": status, "results": [row] if status == "Complete" else []}

    def stop_query(self, **asked: object) -> Mapping[str, Any]:
        self.stopped.append(asked["queryId"])
        return {"success": True}

    def logs(self) -> CloudWatchLogs:
        clock = self.clock
        return CloudWatchLogs(self, monotonic=lambda: clock.monotonic, sleep=clock.advance)

    def _refuse(self) -> None:
        if self._refusal:
            raise ClientError({"Error": {"Code": self._refusal, "Message": "canary"}}, "Any")


def test_pages_are_read_to_the_end_also_past_an_empty_one() -> None:
    service = Service()
    assert len(list(service.logs().search("g", '"line"', since=0))) == 2
    assert service.pages == [None, "2", "3"]


def test_a_query_is_waited_for_until_it_is_complete() -> None:
    service = Service("Scheduled", "Running", "Unknown", "Complete")
    rows = service.logs().query("g", QUERY, since=NOW, until=NOW + 60)
    assert rows == [{"n": "1", "empty": ""}]
    assert service.stopped == []


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "Timeout"])
def test_a_query_that_ends_otherwise_is_a_store_error(status: str) -> None:
    with pytest.raises(StoreError, match=rf"\({status}\).*fewer days"):
        Service("Running", status).logs().query("g", QUERY, since=NOW, until=NOW + 60)


def test_a_query_that_never_ends_is_stopped_after_two_minutes() -> None:
    service = Service(*repeat("Running", 1_000))
    began = service.clock.monotonic
    with pytest.raises(StoreError, match=r"longer than 120 s and was stopped.*fewer days"):
        service.logs().query("g", QUERY, since=NOW, until=NOW + 60)
    assert service.stopped == ["q"]
    assert 120 <= service.clock.monotonic - began < 130


@pytest.mark.parametrize(
    "page", [{}, {"events": None}, {"events": [{}]}, {"events": [{"timestamp": "x"}]}], ids=str
)
def test_an_alien_page_is_a_store_error(page: dict[str, Any]) -> None:
    service = Service()
    alien: Any = service
    alien.filter_log_events = lambda **_: page
    with pytest.raises(StoreError, match="did not answer"):
        list(service.logs().search("g", '"line"', since=0))


def impatient(session: boto3.Session, endpoint_url: str) -> Any:
    make: Any = session.client
    config = Config(connect_timeout=0.1, read_timeout=0.1, retries={"total_max_attempts": 1})
    return make("logs", region_name=REGION, endpoint_url=endpoint_url, config=config)


def test_what_a_line_holds_comes_back_verbatim(aws: LoopbackAws, group: str) -> None:
    client, line = aws.client("logs"), json.dumps({"of": "東京 😀"}, ensure_ascii=False)
    event = {"timestamp": int(NOW * 1000), "message": line}
    client.put_log_events(logGroupName=group, logStreamName="one", logEvents=[event])
    assert LogEvent(NOW, line) in found(aws, group, '"東京"', NOW)
