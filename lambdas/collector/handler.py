"""The Lambda adapter of the interaction queue: a batch in, the failed messages' ids out."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from collector.bootstrap import Application, build_application
from collector.settings import Settings
from regroup.errors import RegroupError


class Context(Protocol):
    """What the handler uses of Lambda's context."""

    aws_request_id: str


@lru_cache(maxsize=1)
def application() -> Application:
    """Build the application on the first call, so that importing this module does nothing."""
    return build_application(Settings.from_environment())


def lambda_handler(event: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """Handle one SQS batch."""
    return handle(application(), event, context)


def handle(app: Application, event: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
    """Keep the messages of a batch; only those that failed are delivered again.

    Where every message of a batch fails, the invocation fails, so that Lambda's own Errors
    metric moves; SQS then delivers all of them again.
    """

    def keep(record: SQSRecord) -> None:
        try:
            app.samples.keep(record.body)
        except RegroupError as error:
            app.telemetry.failure(f"sample not stored: {error}", error)
            app.telemetry.count("SamplesFailed")
            raise

    processor = BatchProcessor(event_type=EventType.SQS)
    with app.telemetry.invocation(context.aws_request_id), processor(event["Records"], keep):
        processor.process()
    return processor.response()
