"""S3 as another role: STS gives its keys, and what goes wrong is one sentence."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest

from regroup.adapters.assumed_role import s3_as
from regroup.adapters.object_store import S3_CONFIG, open_object
from regroup.errors import StoreError
from tests.local.aws import ACCOUNT_ID, LoopbackAws

ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/regroup-dev-publisher"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackAws]:
    # The default session keeps the credentials it found first.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with LoopbackAws() as account:
        for name, value in account.environment().items():
            monkeypatch.setenv(name, value)
        account.create_bucket("routers")
        yield account


@pytest.mark.usefixtures("aws")
def test_the_store_is_read_and_written_as_the_role() -> None:
    made: list[Any] = []
    client = s3_as(ROLE, S3_CONFIG)

    def watched() -> Any:
        made.append(client())
        return made[-1]

    store, key = open_object("s3://routers/regroup/pointer.json", watched)
    assert store.create(key, b"{}")
    assert store.read(key).content == b"{}"
    [one] = made
    assert one._request_signer._credentials.access_key.startswith("ASIA")
    one.close()


class Refusing(BaseHTTPRequestHandler):
    """An STS that gives nobody a role."""

    def do_POST(self) -> None:
        body = (
            b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
            b"<Message>canary</Message></Error></ErrorResponse>"
        )
        self.send_response(403)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.mark.usefixtures("aws")
def test_a_role_that_may_not_be_taken_is_told_without_the_words_of_aws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with HTTPServer(("127.0.0.1", 0), Refusing) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{sts.server_port}")
        thread = Thread(target=sts.handle_request)
        thread.start()
        with pytest.raises(StoreError, match=r"cannot be taken \(AccessDenied\)") as told:
            s3_as(ROLE, S3_CONFIG)()
        thread.join()
    assert "canary" not in str(told.value)


@pytest.mark.usefixtures("aws")
def test_where_sts_does_not_answer_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="AWS STS did not answer"):
        s3_as(ROLE, S3_CONFIG)()


@pytest.mark.usefixtures("aws")
def test_without_a_region_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    with pytest.raises(StoreError, match="no AWS region is set"):
        s3_as(ROLE, S3_CONFIG)()
