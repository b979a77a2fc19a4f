"""S3 by the permissions of another role: who may publish a router need not be who asks models."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from regroup.aws_settings import explain
from regroup.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SESSION = "regroup"


def s3_as(role_arn: str, config: Config) -> "Callable[[], S3Client]":
    """Return what makes an S3 client that acts as a role, for as long as STS lets it: an hour.

    The client raises:
        StoreError: these credentials may not take the role, or STS did not answer.
    """

    def client() -> "S3Client":
        try:
            sts = boto3.client("sts", config=config)
            taken = sts.assume_role(RoleArn=role_arn, RoleSessionName=_SESSION)["Credentials"]
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise StoreError(
                f"the role {role_arn} cannot be taken ({code}): its trust policy and your own must"
                " allow sts:AssumeRole"
            ) from error
        except BotoCoreError as error:
            raise StoreError(explain(error, "AWS STS did not answer")) from error
        return boto3.client(
            "s3",
            config=config,
            aws_access_key_id=taken["AccessKeyId"],
            aws_secret_access_key=taken["SecretAccessKey"],
            aws_session_token=taken["SessionToken"],
        )

    return client
