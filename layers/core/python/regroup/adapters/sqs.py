"""Sampled interactions on their way to the collector."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsInteractionQueue:
    """An SQS queue that the collector reads."""

    def __init__(self, queue_url: str, client: "SQSClient") -> None:
        """Use a client whose timeouts fit behind an answer."""
        self._queue_url = queue_url
        self._client = client

    def send(self, message: Mapping[str, object]) -> None:
        """Hand on one interaction."""
        try:
            self._client.send_message(
                QueueUrl=self._queue_url, MessageBody=json.dumps(message, ensure_ascii=False)
            )
        # Not only the SDK's own errors: alien bytes surface as whatever its parsers stumble over.
        except Exception as error:
            raise StoreError("the interaction queue did not take a sample") from error
