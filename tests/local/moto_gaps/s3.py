"""S3: policies with conditions."""

import json
from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import ClientError
from moto.s3.models import FakeBucket

from tests.local.moto_gaps.gap import ClientFactory, Gap, around

_BUCKET = "probe-conditions"


def _locks_everyone_out(client: ClientFactory) -> bool:
    s3 = client("s3")
    s3.create_bucket(
        Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name}
    )
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{_BUCKET}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=_BUCKET, Policy=json.dumps(policy))
    try:
        s3.put_object(Bucket=_BUCKET, Key="key", Body=b"")
    except ClientError:
        return True
    return False


class _Unconditional:
    """A bucket as moto judges it, with only the statements that have no condition."""

    def __init__(self, bucket: Any) -> None:
        self.policy = bucket.policy and _unconditional(json.loads(bucket.policy))


def _unconditional(policy: dict[str, Any]) -> bytes:
    statements = [each for each in policy["Statement"] if not each.get("Condition")]
    return json.dumps(policy | {"Statement": statements}).encode()


def _get_permission(plain: Any, bucket: Any, action: str, resource: str) -> Any:
    # moto takes a statement with a condition as one without, and on loopback's plain HTTP "deny
    # without TLS" is met anyway. So no condition counts as met.
    return plain(_Unconditional(bucket), action, resource)


def _with_conditions() -> AbstractContextManager[object]:
    return around(FakeBucket, "get_permission", _get_permission)


GAPS = (Gap("a bucket's policy that asks for TLS", _locks_everyone_out, _with_conditions),)
