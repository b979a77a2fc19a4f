"""IAM: the policies that AWS manages."""

import os
from contextlib import AbstractContextManager
from unittest.mock import patch

from botocore.exceptions import ClientError

from tests.local.moto_gaps.gap import ClientFactory, Gap

_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"


def _knows_none(client: ClientFactory) -> bool:
    try:
        client("iam").get_policy(PolicyArn=_POLICY)
    except ClientError:
        return True
    return False


def _with_managed_policies() -> AbstractContextManager[object]:
    # moto's own switch; it is read when an account starts.
    return patch.dict(os.environ, MOTO_IAM_LOAD_MANAGED_POLICIES="true")


GAPS = (Gap("the policies that AWS manages", _knows_none, _with_managed_policies),)
