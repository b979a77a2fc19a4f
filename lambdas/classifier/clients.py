"""The classifier's clients of AWS: each is built once, and all can be made to connect anew."""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config

from regroup.adapters.object_store import S3_CONFIG

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_QUEUE_CONFIG = Config(connect_timeout=0.5, read_timeout=1, retries={"total_max_attempts": 1})


class Clients:
    """Builds clients when they are first asked for; safe to use from several threads."""

    def __init__(self) -> None:
        """Build nothing yet."""
        self._session = boto3.Session()
        self._built: dict[tuple[object, ...], Any] = {}
        # A session, other than the clients it builds, belongs to one thread at a time.
        self._lock = Lock()

    def s3(self) -> "S3Client":
        """Return the one that catalog, pointer and artifacts share, and with it its connections."""
        return self._once(("s3",), lambda: self._session.client("s3", config=S3_CONFIG))

    def dynamodb(self, seconds: float) -> "DynamoDBClient":
        """Return one of one attempt: a table that is slow is not worth waiting for."""
        config = Config(
            connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 1}
        )
        return self._once(
            ("dynamodb", seconds), lambda: self._session.client("dynamodb", config=config)
        )

    def sqs(self) -> "SQSClient":
        """Return the one that samples leave by."""
        return self._once(("sqs",), lambda: self._session.client("sqs", config=_QUEUE_CONFIG))

    def bedrock(self, region: str, config: Config) -> "BedrockRuntimeClient":
        """Return a new one for a region, with the timeouts of `config`."""
        return self._once(
            ("bedrock", region, config),
            lambda: self._session.client("bedrock-runtime", region_name=region, config=config),
        )

    def disconnect(self) -> None:
        """Close every idle connection; a client connects anew when it is next used."""
        with self._lock:
            clients = list(self._built.values())
        for client in clients:
            client.close()

    def _once[C: BaseClient](self, key: tuple[object, ...], build: Callable[[], C]) -> C:
        with self._lock:
            if key not in self._built:
                self._built[key] = build()
            client: C = self._built[key]
            return client
