"""SQS: policies about dead letters."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from moto.sqs.models import Queue

from tests.local.moto_gaps.gap import ACCOUNT_ID, ClientFactory, Gap

_ALLOW = "RedriveAllowPolicy"


def _changed_attributes(change: Callable[[dict[str, Any]], dict[str, Any]]) -> property:
    plain: Any = Queue.attributes
    return property(lambda queue: change(plain.fget(queue)))


def _refuses_to_tell(client: ClientFactory) -> bool:
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="probe-redrive-allow")["QueueUrl"]
    try:
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[_ALLOW])
    except ClientError:
        return True
    return False


def _without_empty(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name != _ALLOW or value}


def _with_redrive_allow_policy() -> AbstractContextManager[object]:
    return patch.multiple(
        Queue,
        create=True,
        BASE_ATTRIBUTES=[*Queue.BASE_ATTRIBUTES, _ALLOW],
        redrive_allow_policy=None,
        attributes=_changed_attributes(_without_empty),
    )


def _has_spaces(client: ClientFactory) -> bool:
    sqs = client("sqs")
    sqs.create_queue(QueueName="probe-dead")
    target = f"arn:aws:sqs:{sqs.meta.region_name}:{ACCOUNT_ID}:probe-dead"
    policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 2})
    url = sqs.create_queue(QueueName="probe-redrive", Attributes={"RedrivePolicy": policy})
    given = sqs.get_queue_attributes(QueueUrl=url["QueueUrl"], AttributeNames=["RedrivePolicy"])
    return " " in given["Attributes"]["RedrivePolicy"]


def _compact(attributes: dict[str, Any]) -> dict[str, Any]:
    if not attributes.get("RedrivePolicy"):
        return attributes
    policy = json.loads(attributes["RedrivePolicy"])
    return attributes | {"RedrivePolicy": json.dumps(policy, separators=(",", ":"))}


def _with_compact_policies() -> AbstractContextManager[object]:
    return patch.object(Queue, "attributes", _changed_attributes(_compact))


GAPS = (
    Gap("which queues may use a dead-letter queue", _refuses_to_tell, _with_redrive_allow_policy),
    Gap("a redrive policy without spaces, as SQS has it", _has_spaces, _with_compact_policies),
)
