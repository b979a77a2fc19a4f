"""The life of a deployment on an emulated account: applied, asked, changed, destroyed."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import Any

from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.adapters.object_store import open_object
from regroup.domain.budget import Budget
from regroup.domain.keys import new_key
from tests.infra.built import Built, read_account
from tests.infra.deployed import PATIENCE, DeployedFunctions, DeployedGateway, deliver, read_api
from tests.infra.recorder import line_of
from tests.infra.terraform import Change, Workplace
from tests.local.aws import LoopbackAws
from tests.local.bedrock import LoopbackBedrock
from tests.local.converse import echo
from tests.local.http_client import Reply, ask
from training.publish import publish, status

PROMPT = "What is 12 times 7? The password is canary-4711."
"""No log line may hold it."""
CHAT = {
    "model": "regroup",
    "messages": [{"role": "user", "content": PROMPT}],
    "regroup": {"session_id": "s1"},
}


@dataclass(frozen=True, slots=True)
class Served:
    """What clients got and what came of it, at one moment of the deployment's life."""

    replies: Mapping[str, Reply]
    decisions: tuple[Mapping[str, Any], ...]
    """The decision lines of the classifier."""
    samples: Mapping[str, bytes]
    """What the collector stored, by key."""
    undelivered: tuple[str, ...]
    logs: str


@dataclass(frozen=True, slots=True)
class Cycle:
    """What was seen, step by step."""

    resources: tuple[str, ...]
    outputs: Mapping[str, Any]
    built: Built
    rendered: Mapping[str, Any]
    """The catalog as it lies in the bucket."""
    seconds: float
    """Of all of it."""
    apply_seconds: float
    after_apply: tuple[Change, ...]
    unpublished: Served
    published: Served
    after_publish: tuple[Change, ...]
    change: tuple[Change, ...]
    """What one changed variable (residency) touches."""
    pointers: tuple[bytes, bytes]
    """Before and after that change was applied."""
    changed: Served
    destroy_seconds: float
    left: frozenset[str]
    state_left: tuple[str, ...]
    calls: Mapping[str, tuple[Mapping[str, Any], ...]]
    """What each function asked AWS for."""


def run_cycle(folder: Path, artifact: Path) -> Cycle:
    """Take a deployment through its life, in an emulated account and a folder of its own.

    Args:
        folder: where Terraform works and zips are unpacked.
        artifact: the router that is published.
    """
    began = time.monotonic()
    with LoopbackAws(complete=True) as aws:
        deployment = Workplace(folder / "terraform").against(aws, "local")
        apply_seconds = deployment.apply()
        outputs, resources = deployment.outputs(), deployment.resources()
        built = read_account(aws)
        rendered = json.loads(_read(aws, outputs["catalog_uri"]))
        profiles = {one["profile_arn"] for one in rendered["candidates"]}
        after_apply = deployment.plan()
        with LoopbackBedrock(echo, profiles) as bedrock:
            client = _Client(
                aws, bedrock, outputs, [one["name"] for one in rendered["candidates"]], folder
            )
            unpublished = client.use()
            publisher = aws.client("s3")
            publisher.meta.events.register("before-parameter-build", client.note_publishing)
            store, name = open_object(outputs["pointer_uri"], lambda: publisher)
            publish(artifact, store, name, who="cycle", why="first")
            status(store, name)
            after_publish = deployment.plan()
            published = client.use()
            before = store.read(name).content
            deployment.variables["residency"] = "jp"
            change = deployment.plan()
            deployment.apply()
            pointers = before, store.read(name).content
            changed = client.use()
        destroy_seconds = deployment.destroy()
        return Cycle(
            resources=resources,
            outputs=outputs,
            built=built,
            rendered=rendered,
            seconds=time.monotonic() - began,
            apply_seconds=apply_seconds,
            after_apply=after_apply,
            unpublished=unpublished,
            published=published,
            after_publish=after_publish,
            change=change,
            pointers=pointers,
            changed=changed,
            destroy_seconds=destroy_seconds,
            left=frozenset(read_account(aws).names()),
            state_left=deployment.resources(),
            calls=client.calls(),
        )


class _Client:
    """Somebody who has a key and uses all of the API."""

    def __init__(
        self,
        aws: LoopbackAws,
        bedrock: LoopbackBedrock,
        outputs: Mapping[str, Any],
        candidates: Sequence[str],
        folder: Path,
    ) -> None:
        self._candidates = candidates
        self._aws, self._outputs, self._folder = aws, outputs, folder
        self._environment = {
            **aws.environment(bedrock_endpoint_url=bedrock.endpoint_url),
            **PATIENCE,
        }
        self._calls = folder / "calls"
        self._calls.mkdir()
        self._key, key_id, record = new_key(
            token_bytes, note="cycle", budget=Budget(usd_micros=10_000_000)
        )
        DynamoKeyStore(outputs["keys_table"], aws.client("dynamodb")).put(key_id, record)

    def use(self) -> Served:
        """Start what is deployed now, send a round of requests, and let the collector work."""
        api_id, stage = self._outputs["api_id"], self._outputs["api_url"].rpartition("/")[2]
        api = read_api(self._aws, api_id, stage)
        with (
            DeployedFunctions(self._aws, self._environment, self._folder, self._calls) as functions,
            DeployedGateway(api, api_id, stage, functions) as gateway,
        ):
            replies = self._round(gateway)
            undelivered = deliver(self._aws, functions, self._queue_arn())
            logs = "".join(one.log_path.read_text() for one in functions.running())
        lines = [json.loads(line) for line in logs.splitlines() if line.startswith("{")]
        return Served(
            replies=replies,
            decisions=tuple(line for line in lines if line.get("event") == "decision"),
            samples=self._samples(),
            undelivered=tuple(undelivered),
            logs=logs,
        )

    def calls(self) -> dict[str, tuple[Mapping[str, Any], ...]]:
        """Return what each function asked AWS for, over all rounds."""
        return {
            file.name: tuple(json.loads(line) for line in file.read_text().splitlines())
            for file in self._calls.iterdir()
        }

    def note_publishing(self, params: dict[str, Any], model: Any, **_: object) -> None:
        """Write down a call of whoever publishes, as the functions' calls are."""
        with (self._calls / f"{self._outputs['name']}-publisher").open("a") as file:
            file.write(line_of(params, model))

    def _round(self, gateway: DeployedGateway) -> dict[str, Reply]:
        key = f"Bearer {self._key}"
        chat = json.dumps(CHAT).encode()
        replies = {
            "health": ask(gateway, "GET", "/healthz", b"", key=None),
            "models": ask(gateway, "GET", "/v1/models", b"", key=key),
            "chat": ask(gateway, body=chat, key=key),
            "again": ask(gateway, body=chat, key=key),
            "explained": ask(gateway, path="/v1/route", body=chat, key=key),
            **{
                f"as {name}": ask(
                    gateway, body=json.dumps({**CHAT, "model": name}).encode(), key=key
                )
                for name in self._candidates
            },
            "no key": ask(gateway, body=chat, key=None),
            "bad key": ask(gateway, body=chat, key="Bearer rg-nobody-nothing"),
            "no such path": ask(gateway, "GET", "/v2/chat", b"", key=key),
            "no messages": ask(gateway, body=b'{"model": "regroup"}', key=key),
        }
        judged = {"decision_id": replies["chat"].headers["x-regroup-decision-id"], "reward": 1.0}
        replies["feedback"] = ask(
            gateway, path="/v1/feedback", body=json.dumps(judged).encode(), key=key
        )
        return replies

    def _queue_arn(self) -> str:
        (mapping,) = self._aws.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        return str(mapping["EventSourceArn"])

    def _samples(self) -> dict[str, bytes]:
        s3, bucket = self._aws.client("s3"), self._outputs["sample_bucket"]
        return {
            one["Key"]: s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        }


def _read(aws: LoopbackAws, uri: str) -> bytes:
    store, name = open_object(uri, lambda: aws.client("s3"))
    return store.read(name).content
