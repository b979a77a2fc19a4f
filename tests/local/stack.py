"""The whole deployment on loopback: AWS, Bedrock, the functions and the gateway before them."""

import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.adapters.object_store import S3ObjectStore
from regroup.catalog_file import read_catalog
from regroup.domain.keys import new_key
from tests.local.aws import REGION, LoopbackAws
from tests.local.bedrock import Fault, LoopbackBedrock, Ok, Responder
from tests.local.converse import echo
from tests.local.gateway import LoopbackGateway
from tests.local.lambda_runtime import LambdaFunction
from tests.local.streaming_function import StreamingFunction
from tests.local.unpacked import Unpacked
from training.publish import publish

ROOT = Path(__file__).parents[2]
CATALOG = ROOT / "terraform/catalog.json"

ARTIFACTS, SAMPLES = "artifacts", "samples"
CACHE_TABLE, KEYS_TABLE = "predictions", "keys"
SESSIONS_TABLE, DECISIONS_TABLE = "sessions", "decisions"
_EMULATED = ("S3", "DYNAMODB", "SQS")
POINTER_PREFIX, POINTER = "regroup", "pointer.json"


class LocalStack:
    """What Terraform would deploy, for as long as the context lasts.

    The classifier and the authorizer run in processes of their own, driven by `awslambdaric`
    through the Lambda Runtime API, exactly as their deployed handler strings name them.
    """

    def __init__(
        self,
        *,
        artifact: Path | None = None,
        catalog: Path = CATALOG,
        responder: Responder = echo,
        port: int = 0,
        variables: Mapping[str, str] | None = None,
        real_bedrock: bool = False,
        streams: bool = False,
        unpacked: Mapping[str, Unpacked] = MappingProxyType({}),
        instances: int = 1,
        chance: Callable[[], Fault] = Ok,
    ) -> None:
        """Publish `artifact`, if any; `variables` add to the classifier's environment.

        Functions run from this repository, or from `unpacked` zips, the classifier in so many
        `instances`; `chance` says what a call of Bedrock meets.

        With `streams` answers leave piece by piece; else the Lambda proxy joins them, as deployed.

        With `real_bedrock` the shell's own credentials ask Bedrock, and all else stays here.
        """
        self.aws = LoopbackAws()
        content = catalog.read_bytes()
        self.catalog = read_catalog(content, place=str(catalog))
        self.bedrock = LoopbackBedrock(
            responder, {one.invoke_id for one in self.catalog.candidates.values()}, chance
        )
        self.key = ""
        self.queue_url = ""
        self._catalog_content = content
        self._artifact = artifact
        self._port = port
        self._variables = dict(variables or {})
        self._real_bedrock = real_bedrock
        self._streams = streams
        self._unpacked = unpacked
        self._instances = instances
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.aws)
            stack.enter_context(self.bedrock)
            self._provision()
            self.function = self._function()
            stack.enter_context(self.function)
            authorizer = stack.enter_context(
                LambdaFunction(
                    "classifier.authorizer.lambda_handler",
                    {**self.aws.environment(), "KEYS_TABLE": KEYS_TABLE},
                    name="authorizer",
                    unpacked=self._unpacked.get("authorizer"),
                )
            )
            self.gateway = stack.enter_context(
                LoopbackGateway(self.function.handle, authorizer.handle, port=self._port)
            )
            # They all start at once, on the cores there are.
            self.function.wait_until_ready(30.0 + 2 * self._instances)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    @property
    def url(self) -> str:
        """Where the API is served."""
        return self.gateway.url

    def _function(self) -> LambdaFunction | StreamingFunction:
        if self._streams:
            return StreamingFunction(self.environment())
        return LambdaFunction(
            "classifier.entry.lambda_handler",
            self.environment(),
            unpacked=self._unpacked.get("classifier"),
            instances=self._instances,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables Terraform would give the classifier."""
        return {
            **self._aws_environment(),
            "CATALOG_URI": f"s3://{ARTIFACTS}/catalog/catalog.json",
            "POINTER_URI": f"s3://{ARTIFACTS}/{POINTER_PREFIX}/{POINTER}",
            "CACHE_TABLE": CACHE_TABLE,
            "SESSIONS_TABLE": SESSIONS_TABLE,
            "KEYS_TABLE": KEYS_TABLE,
            "DECISIONS_TABLE": DECISIONS_TABLE,
            # The emulator may take its time on a busy machine.
            "CACHE_TIMEOUT_SECONDS": "5",
            "TABLE_TIMEOUT_SECONDS": "5",
            "SAMPLE_QUEUE_URL": self.queue_url,
            "SAMPLE_RATE": "1",
            **self._variables,
        }

    def _aws_environment(self) -> dict[str, str]:
        if not self._real_bedrock:
            return self.aws.environment(bedrock_endpoint_url=self.bedrock.endpoint_url)
        mine = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        here = {f"AWS_ENDPOINT_URL_{name}": self.aws.endpoint_url for name in _EMULATED}
        return {"HOME": str(Path.home()), **mine, **here, "AWS_REGION": REGION}

    def store(self) -> S3ObjectStore:
        """Return the store that the pointer and the artifacts lie in."""
        return S3ObjectStore(ARTIFACTS, POINTER_PREFIX, lambda: self.aws.client("s3"))

    def _provision(self) -> None:
        for bucket in (ARTIFACTS, SAMPLES):
            self.aws.create_bucket(bucket)
        self.aws.client("s3").put_object(
            Bucket=ARTIFACTS, Key="catalog/catalog.json", Body=self._catalog_content
        )
        self.aws.create_table(CACHE_TABLE, "query_hash")
        self.aws.create_table(KEYS_TABLE, "key_id")
        self.aws.create_table(SESSIONS_TABLE, "session_id")
        self.aws.create_table(DECISIONS_TABLE, "decision_id")
        self.queue_url = self.aws.client("sqs").create_queue(QueueName="interactions")["QueueUrl"]
        self.key, key_id, record = new_key(secrets.token_bytes, note="loopback")
        DynamoKeyStore(KEYS_TABLE, self.aws.client("dynamodb")).put(key_id, record)
        if self._artifact is not None:
            publish(self._artifact, self.store(), POINTER, who="loopback", why="served locally")
