"""The loopback AWS answers as far as the project needs, to real boto3 and to other processes."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.local.aws import REGION, LoopbackAws

_BUCKET = "artifacts"


@pytest.fixture(scope="module")
def aws() -> Iterator[LoopbackAws]:
    with LoopbackAws() as account:
        account.client("s3").create_bucket(
            Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield account


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("s3", "list_buckets"),
        ("dynamodb", "list_tables"),
        ("sqs", "list_queues"),
        ("ssm", "describe_parameters"),
        ("cloudwatch", "list_metrics"),
        ("logs", "describe_log_groups"),
    ],
)
def test_every_service_the_project_uses_answers(
    aws: LoopbackAws, service: str, operation: str
) -> None:
    answer = getattr(aws.client(service), operation)()

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def _refusal(aws: LoopbackAws, key: str, **condition: str) -> str:
    with pytest.raises(ClientError) as caught:
        aws.client("s3").put_object(Bucket=_BUCKET, Key=key, Body=b"theirs", **condition)
    return str(caught.value.response["Error"]["Code"])


def test_an_object_is_created_only_where_there_is_none(aws: LoopbackAws) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=_BUCKET, Key="created", Body=b"ours", IfNoneMatch="*")

    assert _refusal(aws, "created", IfNoneMatch="*") == "PreconditionFailed"
    assert s3.get_object(Bucket=_BUCKET, Key="created")["Body"].read() == b"ours"


def test_an_object_is_replaced_only_while_it_has_the_tag_one_read(aws: LoopbackAws) -> None:
    s3 = aws.client("s3")
    first = s3.put_object(Bucket=_BUCKET, Key="pointer", Body=b"1")["ETag"]
    s3.put_object(Bucket=_BUCKET, Key="pointer", Body=b"2", IfMatch=first)

    assert _refusal(aws, "pointer", IfMatch=first) == "PreconditionFailed"
    assert _refusal(aws, "nothing", IfMatch=first) == "NoSuchKey"
    assert s3.get_object(Bucket=_BUCKET, Key="pointer")["Body"].read() == b"2"


def test_a_process_with_the_environment_reaches_this_account(aws: LoopbackAws) -> None:
    aws.client("sqs").create_queue(QueueName="samples")
    program = "import boto3; print(boto3.client('sqs').list_queues()['QueueUrls'])"

    run = subprocess.run(
        [sys.executable, "-c", program],
        env=aws.environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert "samples" in run.stdout


def test_bedrock_has_an_endpoint_of_its_own(aws: LoopbackAws) -> None:
    bedrock = "http://127.0.0.1:1"

    assert "AWS_ENDPOINT_URL_BEDROCK_RUNTIME" not in aws.environment()
    variables = aws.environment(bedrock_endpoint_url=bedrock)
    assert variables["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == bedrock
    assert variables["AWS_ENDPOINT_URL"] == aws.endpoint_url


def test_no_second_account_opens_beside_the_first(aws: LoopbackAws) -> None:
    second = LoopbackAws()

    with pytest.raises(RuntimeError, match="another LoopbackAws is open"), second:
        pass

    assert aws.client("s3").list_buckets()["Buckets"]
