"""Samples on their way through a real queue's behaviour."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from regroup.adapters.sqs import SqsInteractionQueue
from regroup.errors import StoreError
from tests.local.aws import LoopbackAws

MESSAGE: dict[str, object] = {
    "event": "interaction",
    "text": "東京の天気は。 😀\n",
    "answer": '<晴れ> & "quoted" \\ \u2028',
    "inclusion_probability": 0.1,
    "decision": {"cost_usd": 1.25e-05, "mask": {"haiku": None}},
}


@pytest.fixture(scope="module")
def aws() -> Iterator[LoopbackAws]:
    with LoopbackAws() as account:
        yield account


@pytest.fixture
def queue_url(aws: LoopbackAws) -> str:
    url: str = aws.client("sqs").create_queue(QueueName="samples")["QueueUrl"]
    return url


def test_a_message_arrives_as_json_with_its_text_verbatim(aws: LoopbackAws, queue_url: str) -> None:
    client = aws.client("sqs")

    SqsInteractionQueue(queue_url, client).send(MESSAGE)

    (received,) = client.receive_message(QueueUrl=queue_url)["Messages"]
    assert json.loads(received["Body"]) == MESSAGE
    assert "東京の天気は。 😀" in received["Body"]


def test_a_queue_that_is_not_there_is_a_store_error(aws: LoopbackAws, queue_url: str) -> None:
    check_store_error(f"{queue_url}-nowhere", aws.client("sqs"))


def test_a_message_larger_than_the_queue_takes_is_a_store_error(
    aws: LoopbackAws, queue_url: str
) -> None:
    queue = SqsInteractionQueue(queue_url, aws.client("sqs"))
    with pytest.raises(StoreError):
        queue.send({"answer": "x" * 2_000_000})


def test_a_closed_port_is_a_store_error(queue_url: str) -> None:
    client = boto3.client(
        "sqs",
        region_name="ap-northeast-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )
    check_store_error(queue_url, client)
    client.close()


def check_store_error(queue_url: str, client: Any) -> None:
    with pytest.raises(
        StoreError, match=r"^the interaction queue did not take a sample$"
    ) as caught:
        SqsInteractionQueue(queue_url, client).send(MESSAGE)
    assert "東京" not in str(caught.value)
