"""Samples and rewards from a real queue's messages into a real bucket's behaviour."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.config import Config

from collector.bootstrap import Application
from collector.handler import handle
from collector.services import SampleService
from regroup.adapters.object_store import S3ObjectStore
from regroup.adapters.sqs import SqsInteractionQueue
from regroup.adapters.telemetry import PowertoolsTelemetry
from regroup.domain.feedback import DecisionRecord, reward_line
from regroup.errors import StoreError
from tests.local.aws import LoopbackAws
from tests.local.fakes import RecordingTelemetry

BUCKET = "samples"
TOKYO = ZoneInfo("Asia/Tokyo")
# 2026-11-25, 00:30 in Tokyo.
AT = 1_795_534_200.5


@dataclass(slots=True)
class FakeContext:
    """Lambda's context as far as the handler looks at it."""

    aws_request_id: str = "request-1"


@pytest.fixture(scope="module")
def aws() -> Iterator[LoopbackAws]:
    with LoopbackAws() as account:
        location = {"LocationConstraint": "ap-northeast-1"}
        account.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
        yield account


def interaction(name: str) -> dict[str, object]:
    return {
        "event": "interaction",
        "schema": 1,
        "id": name,
        "text": "東京の天気は。\n😀",
        "answer": "<晴れ> & \\ \u2028",
        "inclusion_probability": 0.1,
        "decision": {"at": AT, "cost_usd": 1.25e-05},
    }


def reward(name: str, score: float = 1.0) -> dict[str, object]:
    record = DecisionRecord(name, "key-1", AT - 60, "haiku", 3, None, "balanced")
    return reward_line(record, score, at=AT)


def samples_in(aws: LoopbackAws) -> SampleService:
    store = S3ObjectStore(BUCKET, "", lambda: aws.client("s3"))
    return SampleService(store, RecordingTelemetry(), TOKYO)


def stored(aws: LoopbackAws, name: str) -> list[str]:
    s3 = aws.client("s3")
    listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [item["Key"] for item in listed if name in item["Key"]]


def run_at_once(*steps: Any) -> None:
    threads = [threading.Thread(target=step) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)


def test_a_message_of_the_queue_becomes_an_object_of_its_day_with_its_text_verbatim(
    aws: LoopbackAws,
) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="interactions")["QueueUrl"]
    SqsInteractionQueue(url, sqs).send(interaction("verbatim"))
    (received,) = sqs.receive_message(QueueUrl=url)["Messages"]

    samples_in(aws).keep(received["Body"])

    (key,) = stored(aws, "verbatim")
    assert key == "interactions/2026/11/25/verbatim.jsonl"
    content = aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert json.loads(content) == interaction("verbatim")
    assert content.count(b"\n") == 1


def test_a_reward_of_the_queue_becomes_an_object_of_the_day_it_came(aws: LoopbackAws) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="rewards")["QueueUrl"]
    SqsInteractionQueue(url, sqs).send(reward("judged"))
    (received,) = sqs.receive_message(QueueUrl=url)["Messages"]

    samples_in(aws).keep(received["Body"])

    (key,) = stored(aws, "judged")
    assert key.startswith("rewards/2026/11/25/judged-")
    content = aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert json.loads(content) == reward("judged")


def test_a_decision_judged_twice_and_delivered_thrice_is_two_objects(aws: LoopbackAws) -> None:
    samples = samples_in(aws)
    for score in (1.0, 0.0, 1.0):
        samples.keep(json.dumps(reward("again", score)))
    assert len(stored(aws, "again")) == 2
    assert samples.telemetry.counts == {"RewardsStored": 2, "RewardsRepeated": 1}  # type: ignore[attr-defined]


def test_a_batch_with_one_bad_record_stores_the_others_once_each(aws: LoopbackAws) -> None:
    telemetry = PowertoolsTelemetry(component="collector-contract")
    store = S3ObjectStore(BUCKET, "", lambda: aws.client("s3"))
    app = Application(SampleService(store, telemetry, TOKYO), telemetry)
    bodies = [json.dumps(interaction("batch-a")), "broken", json.dumps(interaction("batch-b"))]
    records = [
        {"messageId": str(n), "body": body, "eventSource": "aws:sqs"}
        for n, body in enumerate(bodies)
    ]

    answers = [handle(app, {"Records": records}, FakeContext()) for _ in range(2)]

    assert answers == [{"batchItemFailures": [{"itemIdentifier": "1"}]}] * 2
    assert len(stored(aws, "batch-")) == 2


def test_the_first_of_two_writes_stays(aws: LoopbackAws) -> None:
    samples = samples_in(aws)
    samples.keep(json.dumps(interaction("first")))
    samples.keep(json.dumps({**interaction("first"), "text": "another"}))

    (key,) = stored(aws, "first")
    content = aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert json.loads(content)["text"] == interaction("first")["text"]
    assert samples.telemetry.counts == {"SamplesStored": 1, "SamplesRepeated": 1}  # type: ignore[attr-defined]


def test_two_functions_that_get_a_message_at_once_store_one_object_and_both_succeed(
    aws: LoopbackAws,
) -> None:
    barrier = threading.Barrier(2, timeout=20)
    services = [samples_in(aws) for _ in range(2)]
    body = json.dumps(interaction("at-once"))
    done: list[int] = []

    def keep(number: int) -> None:
        barrier.wait()
        services[number].keep(body)
        done.append(number)

    run_at_once(lambda: keep(0), lambda: keep(1))

    assert sorted(done) == [0, 1]
    assert len(stored(aws, "at-once")) == 1


def test_a_bucket_that_is_not_there_is_a_store_error(aws: LoopbackAws) -> None:
    store = S3ObjectStore("nowhere", "", lambda: aws.client("s3"))
    samples = SampleService(store, RecordingTelemetry(), TOKYO)
    with pytest.raises(StoreError) as caught:
        samples.keep(json.dumps(interaction("lost")))
    assert "東京" not in str(caught.value)


def test_a_closed_port_is_a_failure_of_the_batch() -> None:
    client = boto3.client(
        "s3",
        region_name="ap-northeast-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )
    telemetry = PowertoolsTelemetry(component="collector-contract")
    store = S3ObjectStore(BUCKET, "", lambda: client)
    app = Application(SampleService(store, telemetry, TOKYO), telemetry)
    record = {"messageId": "1", "body": json.dumps(interaction("lost")), "eventSource": "aws:sqs"}
    with pytest.raises(BatchProcessingError) as caught:
        handle(app, {"Records": [record]}, FakeContext())
    assert "東京" not in str(caught.value)
    client.close()
