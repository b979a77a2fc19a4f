"""What the functions wrote, read back from CloudWatch Logs: by a pattern, or by a query."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from regroup.aws_settings import explain
from regroup.errors import StoreError

_CONFIG = Config(
    connect_timeout=2, read_timeout=15, retries={"total_max_attempts": 4, "mode": "standard"}
)
_QUERY_SECONDS = 120.0
"""How long a query is waited for; it is stopped then."""
_POLL_SECONDS = 1.0
_GOES_ON = {"Scheduled", "Running", "Unknown"}

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/CommonErrors.html and the
# pages of the three operations.
_SIGN_IN = "the AWS credentials do not hold (any more): sign in again, or set AWS_PROFILE"
_LATER = "too much is asked of CloudWatch Logs at once in this account: try again in a minute"
_CURES = {
    "ResourceNotFoundException": (
        "there is no such log group in this account and region: Terraform's output"
        " classifier_log_group names it, and AWS_DEFAULT_REGION must be the deployment's region"
    ),
    "AccessDeniedException": (
        "these AWS credentials may not read it: allow logs:FilterLogEvents, logs:StartQuery,"
        " logs:GetQueryResults and logs:StopQuery"
    ),
    "InvalidParameterException": (
        "CloudWatch Logs refuses the log group's name or the time span: give the name as"
        " Terraform's output classifier_log_group has it, and a shorter time"
    ),
    "MalformedQueryException": (
        "Logs Insights cannot read the query: open it in the CloudWatch console, which shows where"
    ),
    "ExpiredTokenException": _SIGN_IN,
    "InvalidClientTokenId": _SIGN_IN,
    "InvalidSignatureException": _SIGN_IN,
    "UnrecognizedClientException": _SIGN_IN,
    "LimitExceededException": _LATER,
    "ThrottlingException": _LATER,
}


class LogsClient(Protocol):
    """What is used of boto3's client of CloudWatch Logs."""

    def filter_log_events(self, **asked: object) -> Mapping[str, Any]:
        """Return one page of events."""
        ...

    def start_query(self, **asked: object) -> Mapping[str, Any]:
        """Begin a query."""
        ...

    def get_query_results(self, **asked: object) -> Mapping[str, Any]:
        """Return how far a query is."""
        ...

    def stop_query(self, **asked: object) -> Mapping[str, Any]:
        """End a query."""
        ...


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of a log group."""

    at: float
    """When it was written, in seconds since 1970."""
    message: str


class CloudWatchLogs:
    """The log groups of one account and region."""

    def __init__(
        self,
        client: LogsClient,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Use a client; the clock and the sleep are for the wait on a query."""
        self._client = client
        self._monotonic = monotonic
        self._sleep = sleep

    @classmethod
    def connect(cls) -> Self:
        """Return a reader with a client of its own, region and endpoint from the environment.

        Raises:
            StoreError: the environment names no region, or a profile that is not there.
        """
        with _asking("these AWS settings"):
            return cls(boto3.client("logs", config=_CONFIG))

    def search(self, group: str, pattern: str, *, since: float) -> Iterator[LogEvent]:
        """Yield the lines of a log group that match a filter pattern, in no order.

        Args:
            group: name of the log group.
            pattern: as in
                https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
            since: seconds since 1970.

        Raises:
            StoreError: CloudWatch Logs did not answer, or refused; the message says what to do.
        """
        asked: dict[str, object] = {
            "logGroupName": group,
            "filterPattern": pattern,
            "startTime": max(0, int(since * 1000)),
        }
        while True:
            with _asking(f"log group {group}"):
                page = self._client.filter_log_events(**asked)
                events = [_event(one) for one in page["events"]]
                # A page may be empty, and others come after it.
                token = page.get("nextToken")
            yield from events
            if not token:
                return
            asked["nextToken"] = token

    def query(self, group: str, text: str, *, since: float, until: float) -> list[dict[str, str]]:
        """Return the rows of a Logs Insights query; a field that a row lacks is left out of it.

        Times are seconds since 1970.

        Raises:
            StoreError: it was refused, failed, or took longer than two minutes.
        """
        with _asking(f"log group {group}"):
            started = self._client.start_query(
                logGroupName=group, queryString=text, startTime=int(since), endTime=int(until)
            )
            query_id = started["queryId"]
            return self._results(query_id)

    def _results(self, query_id: object) -> list[dict[str, str]]:
        deadline = self._monotonic() + _QUERY_SECONDS
        while True:
            answer = self._client.get_query_results(queryId=query_id)
            status = answer["status"]
            if status == "Complete":
                return [_row(one) for one in answer["results"]]
            if status not in _GOES_ON:
                raise StoreError(f"Logs Insights ended the query ({status}): ask for fewer days")
            if self._monotonic() >= deadline:
                self._client.stop_query(queryId=query_id)
                raise StoreError(
                    f"the query took longer than {_QUERY_SECONDS:.0f} s and was stopped: ask for"
                    " fewer days"
                )
            self._sleep(_POLL_SECONDS)


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Turn whatever the SDK raises into one sentence with a way out."""
    try:
        yield
    except StoreError:
        raise
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        cure = _CURES.get(code, "CloudWatch Logs refused: try again in a minute")
        raise StoreError(f"{what}: {cure} ({code})") from error
    # Not only the SDK's own errors: alien bytes surface as whatever its parsers stumble over.
    except Exception as error:
        sentence = "CloudWatch Logs did not answer: is the network open to it?"
        raise StoreError(f"{what}: {explain(error, sentence)}") from error


def _event(event: Mapping[str, Any]) -> LogEvent:
    return LogEvent(event["timestamp"] / 1000, str(event["message"]))


def _row(cells: list[Mapping[str, str]]) -> dict[str, str]:
    # @ptr is where CloudWatch keeps the line, and nothing for people.
    return {cell["field"]: cell.get("value", "") for cell in cells if cell["field"] != "@ptr"}
