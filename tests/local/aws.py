"""AWS on loopback: moto's server behind real HTTP, for S3, DynamoDB, SQS, SSM and CloudWatch.

with LoopbackAws() as aws:
    aws.client("s3").list_buckets()
    subprocess.run(command, env=aws.environment())
"""

import http.client
import logging
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.local.proxy_events import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ACCOUNT_ID", "REGION", "LoopbackAws"]

_KEY = "loopback"  # moto checks no signature

# moto's state belongs to the process, so a second emulator would share it and, by its own reset,
# wipe the first one's.
_only_one = threading.Lock()


class LoopbackAws:
    """An empty AWS account for as long as the context lasts; one at a time per process.

    A complete one also does what moto lacks for the deployment's Terraform.
    """

    def __init__(self, *, complete: bool = False, port: int = 0) -> None:
        self._complete = complete
        self._port = port  # 0: any that is free
        self._session = boto3.Session(aws_access_key_id=_KEY, aws_secret_access_key=_KEY)
        self._exit = ExitStack()
        self.endpoint_url = ""

    def __enter__(self) -> Self:
        if not _only_one.acquire(blocking=False):
            raise RuntimeError("another LoopbackAws is open in this process: leave it first")
        with ExitStack() as stack:
            stack.callback(_only_one.release)
            stack.enter_context(_QuietRequests())
            if self._complete:
                # Here, because it brings in many more of moto's services.
                from tests.local import moto_gaps

                stack.enter_context(moto_gaps.closed())
            app = _OneDynamoRequestAtATime(DomainDispatcherApplication(create_backend_app))
            server = make_server(
                "127.0.0.1", self._port, app, threaded=True, request_handler=MotoRequestHandler
            )
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            self.endpoint_url = f"http://127.0.0.1:{server.port}"
            _reset("127.0.0.1", server.port)
            stack.callback(_reset, "127.0.0.1", server.port)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def client(self, service: str, region: str = REGION) -> Any:
        """Return a boto3 client of this account; it is closed with the context."""
        make: Any = self._session.client
        client = make(
            service,
            region_name=region,
            endpoint_url=self.endpoint_url,
            config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1}),
        )
        self._exit.callback(client.close)
        return client

    def create_table(self, name: str, key: str) -> None:
        """Make an on-demand DynamoDB table with one text key, as the deployment's tables have."""
        self.client("dynamodb").create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def create_bucket(self, name: str) -> None:
        """Make an S3 bucket in this account's region."""
        self.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
        )

    def environment(self, *, bedrock_endpoint_url: str | None = None) -> dict[str, str]:
        """Return the variables that make a process talk to this account and to nothing else."""
        variables = {
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            # A developer's own profile must not leak in.
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
        if bedrock_endpoint_url is not None:
            variables["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = bedrock_endpoint_url
        return variables


class _OneDynamoRequestAtATime:
    """Gives moto's DynamoDB the atomicity that the real one has.

    moto checks an update's condition and then applies it to the same item without a lock: under
    threads two updates can pass one condition, and one of two additions can be lost
    (`DynamoDBBackend.update_item` in moto/dynamodb/models/__init__.py). DynamoDB applies
    conditional writes and counters to an item one after another:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html
    Other services go on side by side, because SQS waits inside a request.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._lock = threading.Lock()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            return self._app(environ, start_response)
        with self._lock:
            return self._app(environ, start_response)


class _QuietRequests:
    """Keeps werkzeug from printing a line per request."""

    def __init__(self) -> None:
        self._log = logging.getLogger("werkzeug")
        self._level = self._log.level

    def __enter__(self) -> None:
        self._level = self._log.level
        self._log.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self._log.setLevel(self._level)


def _reset(host: str, port: int) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("POST", "/moto-api/reset")
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"moto did not reset: {answer.status}")
    finally:
        connection.close()
