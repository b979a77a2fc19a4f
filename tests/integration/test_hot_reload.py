"""A running function follows the pointer without being started again."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regroup.artifact import HEADS, MANIFEST
from regroup.domain.pointer import Pointer
from tests.local.api_client import Reply, decisions, post, send
from tests.local.stack import ARTIFACTS, POINTER, POINTER_PREFIX, LocalStack
from training.publish import publish

CHAT = {"model": "regroup", "messages": [{"role": "user", "content": "What is 12 times 7?"}]}
PATIENCE_SECONDS = 20


@pytest.fixture
def artifact(small_router: tuple[Path, str]) -> Path:
    return small_router[0]


@pytest.fixture
def stack(artifact: Path) -> Iterator[LocalStack]:
    with LocalStack(artifact=artifact, variables={"POINTER_CHECK_SECONDS": "0"}) as running:
        yield running


def another(artifact: Path, folder: Path, name: str) -> Path:
    """Return the same router under another digest."""
    copy = folder / name
    shutil.copytree(artifact, copy)
    manifest = json.loads((copy / MANIFEST).read_bytes())
    manifest["training"]["note"] = name
    (copy / MANIFEST).write_text(json.dumps(manifest))
    return copy


def release(stack: LocalStack, folder: Path) -> str:
    after = publish(folder, stack.store(), POINTER, who="test", why="next", force="a test")
    return after.champion


def point(stack: LocalStack, pointer: Pointer) -> None:
    store = stack.store()
    store.replace(POINTER, pointer.to_bytes(), tag=store.read(POINTER).tag)


def health(stack: LocalStack) -> Reply:
    return send(stack, "/healthz", method="GET", key="")


def wait_until(true: Callable[[], bool]) -> bool:
    """Ask until it is so: each request lets the function look at the pointer."""
    deadline = threading.Event()
    timer = threading.Timer(PATIENCE_SECONDS, deadline.set)
    timer.start()
    try:
        while not deadline.is_set():
            if true():
                return True
        return False
    finally:
        timer.cancel()


def test_a_published_version_takes_over_and_a_rollback_brings_the_old_one_back(
    stack: LocalStack, artifact: Path, tmp_path: Path
) -> None:
    first = health(stack).json["artifact"]
    second = release(stack, another(artifact, tmp_path, "second"))
    assert first != second

    assert wait_until(lambda: health(stack).json["artifact"] == second)

    reply = post(stack, "/v1/chat/completions", CHAT)
    assert reply.status == 200
    assert decisions(stack)[-1]["version"] == second
    assert health(stack).json["status"] == "ok"
    assert health(stack).json["age_seconds"] < PATIENCE_SECONDS
    point(stack, Pointer(first, previous=second))
    assert wait_until(lambda: health(stack).json["artifact"] == first)


def test_a_version_with_a_flipped_byte_is_refused_and_the_live_one_goes_on(
    stack: LocalStack, artifact: Path, tmp_path: Path
) -> None:
    first = health(stack).json["artifact"]
    digest = release(stack, another(artifact, tmp_path, "broken"))
    assert wait_until(lambda: health(stack).json["artifact"] == digest)
    point(stack, Pointer(first))
    assert wait_until(lambda: health(stack).json["artifact"] == first)
    # The same version once more, its heads damaged on the way.
    key = f"{POINTER_PREFIX}/artifacts/{digest}/{HEADS}"
    s3 = stack.aws.client("s3")
    content = bytearray(s3.get_object(Bucket=ARTIFACTS, Key=key)["Body"].read())
    content[len(content) // 2] ^= 1
    s3.put_object(Bucket=ARTIFACTS, Key=key, Body=bytes(content))
    point(stack, Pointer(digest))

    assert wait_until(lambda: health(stack).json["status"] == "degraded")

    assert health(stack).json["artifact"] == first
    assert post(stack, "/v1/chat/completions", CHAT).status == 200
    assert decisions(stack)[-1]["version"] == first
    rejected = [line for line in stack.function.log_lines if "artifact rejected" in line]
    assert len(rejected) == 1
    assert any('"ArtifactRejected":[1.0]' in line for line in stack.function.log_lines)


def test_a_shadow_is_logged_and_decides_nothing_until_it_is_a_canary(
    stack: LocalStack, artifact: Path, tmp_path: Path
) -> None:
    first = health(stack).json["artifact"]
    challenger = release(stack, another(artifact, tmp_path, "challenger"))
    point(stack, Pointer(first, challenger=challenger, mode="shadow"))
    assert wait_until(lambda: health(stack).json["challenger"] == challenger)

    assert post(stack, "/v1/chat/completions", CHAT).status == 200

    line = decisions(stack)[-1]
    assert (line["version"], line["challenger_version"]) == (first, challenger)
    assert set(line["probabilities"]) == {"champion", "challenger", "behaviour"}
    assert line["probabilities"]["behaviour"] == line["probabilities"]["champion"]

    # As a canary of every conversation it decides them all.
    point(stack, Pointer(first, challenger=challenger, mode="canary", share=1.0))
    assert wait_until(lambda: health(stack).json["mode"] == "canary")
    assert post(stack, "/v1/chat/completions", CHAT).status == 200
    line = decisions(stack)[-1]
    assert (line["arm"], line["version"]) == ("challenger", challenger)
