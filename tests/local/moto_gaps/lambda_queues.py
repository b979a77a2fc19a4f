"""Lambda: event source mappings."""

from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import ClientError
from moto.awslambda.models import LambdaBackend
from moto.sqs.models import sqs_backends

from tests.local.moto_gaps.gap import ACCOUNT_ID, ClientFactory, Gap, around
from tests.local.moto_gaps.lambda_probe import make_function


def _map(client: ClientFactory, name: str) -> Any:
    """Map a queue to a function's alias, all of them new, and return the mapping."""
    functions = make_function(client, name)
    client("sqs").create_queue(QueueName=name)
    where = f"{functions.meta.region_name}:{ACCOUNT_ID}"
    return functions.create_event_source_mapping(
        FunctionName=f"arn:aws:lambda:{where}:function:{name}:live",
        EventSourceArn=f"arn:aws:sqs:{where}:{name}",
    )


def _forgets_the_alias(client: ClientFactory) -> bool:
    arn: str = _map(client, "probe-alias")["FunctionArn"]
    return not arn.endswith(":live")


def _keep_alias(plain: Any, backend: Any, spec: dict[str, Any]) -> Any:
    mapping = plain(backend, spec)
    if spec["FunctionName"].startswith("arn:"):
        mapping.function_arn = spec["FunctionName"]
    return mapping


def _with_aliases() -> AbstractContextManager[object]:
    return around(LambdaBackend, "create_event_source_mapping", _keep_alias)


def _runs_the_function(client: ClientFactory) -> bool:
    _map(client, "probe-queue")
    # Without its function a delivery fails at once; with it, moto would run it in Docker.
    client("lambda").delete_function(FunctionName="probe-queue")
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName="probe-queue")["QueueUrl"]
    try:
        sqs.send_message(QueueUrl=url, MessageBody="stays")
    except ClientError:
        return True
    return "Messages" not in sqs.receive_message(QueueUrl=url)


def _keep_messages(plain: Any, backend: Any, spec: dict[str, Any]) -> Any:
    mapping = plain(backend, spec)
    for queue in sqs_backends[backend.account_id][backend.region_name].queues.values():
        others = queue.lambda_event_source_mappings.items()
        queue.lambda_event_source_mappings = {k: v for k, v in others if v is not mapping}
    return mapping


def _with_messages_kept() -> AbstractContextManager[object]:
    return around(LambdaBackend, "create_event_source_mapping", _keep_messages)


GAPS = (
    Gap("the alias that an event source mapping names", _forgets_the_alias, _with_aliases),
    Gap("messages that wait for whoever runs the code", _runs_the_function, _with_messages_kept),
)
