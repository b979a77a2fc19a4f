"""From an HTTP request to a routed, answered and recorded one, through the real handlers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.api_client import Reply, send
from tests.local.bedrock import Throttle
from tests.local.lambda_runtime import LambdaFunction, LambdaInitError
from tests.local.proxy_events import proxy_event
from tests.local.stack import CACHE_TABLE, SAMPLES, LocalStack
from tests.local.streaming_function import StreamingFunction

CANARY = "canary-7f3a"


@pytest.fixture(scope="module")
def artifact(small_router: tuple[Path, str]) -> tuple[Path, str]:
    return small_router


@pytest.fixture(scope="module")
def stack(artifact: tuple[Path, str]) -> Iterator[LocalStack]:
    with LocalStack(artifact=artifact[0]) as running:
        yield running


def chat(stack: LocalStack, text: str, **fields: object) -> Reply:
    body = {"messages": [{"role": "user", "content": text}], "model": "regroup-quality", **fields}
    return send(stack, "/v1/chat/completions", json.dumps(body).encode())


def direct(method: str, path: str, text: str = "") -> dict[str, Any]:
    """An event for a function that no gateway stands before."""
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode() if text else b""
    return proxy_event(method, path, {}, body, authorizer=None, request_id="direct")


def decision_line(function: LambdaFunction | StreamingFunction, decision_id: str) -> dict[str, Any]:
    for line in function.log_lines:
        if '"decision"' in line and decision_id in line:
            parsed: dict[str, Any] = json.loads(line)
            return parsed
    raise AssertionError(f"no decision line for {decision_id}")


@pytest.mark.parametrize(
    ("prompt", "specialist"),
    [
        ("What is 514 times 33, plus 8?", "nova-lite"),
        ("Write a function in Rust to merge two sorted arrays.", "sonnet"),
        ("Write a friendly message about gardening to a friend.", "haiku"),
    ],
)
def test_each_kind_of_prompt_is_answered_by_the_candidate_that_is_best_at_it(
    stack: LocalStack, prompt: str, specialist: str
) -> None:
    reply = chat(stack, prompt)
    assert reply.status == 200
    assert reply.headers["x-regroup-model"] == specialist
    completion = reply.json
    assert completion["model"] == specialist
    assert prompt[:20] in completion["choices"][0]["message"]["content"]
    assert completion["usage"]["total_tokens"] > 0


def test_a_second_identical_request_is_served_from_memory_and_a_fresh_process_from_the_table(
    stack: LocalStack,
) -> None:
    prompt = "Compute (12 + 30) * 7 and give only the number."
    states = [chat(stack, prompt).headers["x-regroup-cache"] for _ in range(2)]
    assert states == ["miss", "memory"]
    event = direct("POST", "/v1/chat/completions", prompt)
    with LambdaFunction("classifier.entry.lambda_handler", stack.environment()) as fresh:
        assert fresh.handle(event)["headers"]["x-regroup-cache"] == "hit"


def test_an_expired_item_still_in_the_table_is_a_miss(stack: LocalStack) -> None:
    prompt = "Compute (99 + 1) * 2 and give only the number."
    chat(stack, prompt)
    dynamodb = stack.aws.client("dynamodb")
    for item in dynamodb.scan(TableName=CACHE_TABLE)["Items"]:
        item["expire_at"] = {"N": "1700000000"}
        dynamodb.put_item(TableName=CACHE_TABLE, Item=item)
    event = direct("POST", "/v1/route", prompt)
    with LambdaFunction("classifier.entry.lambda_handler", stack.environment()) as fresh:
        assert json.loads(fresh.handle(event)["body"])["cache"] == "miss"


def test_a_throttled_first_candidate_is_answered_by_the_second(stack: LocalStack) -> None:
    prompt = "What is 611 times 20, plus 4?"
    first = json.loads(
        send(
            stack,
            "/v1/route",
            json.dumps(
                {"model": "regroup-quality", "messages": [{"role": "user", "content": prompt}]}
            ).encode(),
        ).body
    )["routed_model"]
    model_id = stack.catalog.candidates[first].invoke_id
    stack.bedrock.plan(model_id, [Throttle()])
    before = len(stack.bedrock.calls)
    reply = chat(stack, prompt)
    asked = [call.model_id for call in stack.bedrock.calls[before:]]
    assert reply.status == 200
    assert asked[0] == model_id
    assert len(asked) == 2
    second = stack.catalog.candidates[reply.headers["x-regroup-model"]].invoke_id
    assert asked[1] == second != model_id
    line = decision_line(stack.function, reply.headers["x-regroup-decision-id"])
    assert line["fallbacks"] == 1
    assert line["attempts"][0] == {"model": first, "error": "throttled"}
    # It rests now; naming it is still possible, and wakes it for the other tests.
    assert chat(stack, "wake up", model=first).status == 200


def test_route_explains_and_asks_nobody(stack: LocalStack) -> None:
    before = len(stack.bedrock.calls)
    body = {"model": "regroup-economy", "messages": [{"role": "user", "content": "hello"}]}
    explained = send(stack, "/v1/route", json.dumps(body).encode()).json
    assert len(stack.bedrock.calls) == before
    assert explained["preset"] == "economy"
    assert set(explained["predicted_rewards"]) == set(stack.catalog.names)
    assert sum(explained["probabilities"]["champion"].values()) == pytest.approx(1.0)


def test_a_candidate_can_be_named(stack: LocalStack) -> None:
    reply = chat(stack, "hello there", model="llama-70b")
    assert reply.headers["x-regroup-model"] == "llama-70b"
    line = decision_line(stack.function, reply.headers["x-regroup-decision-id"])
    assert (line["reason"], line["cache"]) == ("named", "unused")


def test_a_prompt_of_a_megabyte_is_routed(stack: LocalStack) -> None:
    reply = chat(stack, "x " * 500_000)
    assert reply.status == 200
    # Only a candidate with a context window that long may take it.
    assert reply.headers["x-regroup-model"] == "haiku"


def test_a_stream_is_well_formed_and_joined_by_the_proxy_adapter(stack: LocalStack) -> None:
    reply = chat(stack, "hello", stream=True, stream_options={"include_usage": True})
    events = [line.removeprefix("data: ") for line in reply.body.decode().split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert "hello" in text
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert reply.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "empty_body"),
        (b'{"messages": [', 400, "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "half \\ud83d"}]}', 422, "invalid_unicode"),
        (
            b'{"model": "gpt-4", "messages": [{"role": "user", "content": "hi"}]}',
            404,
            "model_not_found",
        ),
        (b'{"messages": []}', 400, "invalid_field"),
        (b"[" * 100_000, 400, "invalid_json"),
    ],
    ids=["empty", "broken JSON", "lone surrogate", "unknown model", "no messages", "deep"],
)
def test_bad_input_gets_one_clear_sentence_and_a_code(
    stack: LocalStack, body: bytes, status: int, code: str
) -> None:
    reply = send(stack, "/v1/chat/completions", body)
    assert reply.status == status
    assert reply.json["error"]["code"] == code
    assert reply.json["error"]["message"].endswith(".")


@pytest.mark.parametrize("key", ["", "rg-0000000000000000-" + "0" * 64, "sk-wrong"])
def test_a_wrong_key_is_turned_away_at_the_gateway(stack: LocalStack, key: str) -> None:
    before = len(stack.function.log_lines)
    reply = send(stack, "/v1/chat/completions", b"{}", key=key)
    assert reply.status == 401
    assert reply.json["error"]["code"] == "invalid_api_key"
    assert len(stack.function.log_lines) == before


def test_no_log_line_holds_the_prompt_the_answer_or_the_key(stack: LocalStack) -> None:
    chat(stack, f"{CANARY} What is 1 times 2, plus 3?")
    chat(stack, CANARY, model="no-such-model")
    chat(stack, CANARY, temperature=9)
    log = "\n".join(stack.function.log_lines)
    assert CANARY not in log
    assert stack.key not in log


def test_an_answered_request_is_sampled_and_stored_once_however_often_it_is_delivered(
    stack: LocalStack,
) -> None:
    prompt = "Write a poetic message about 東京 to a friend."
    decision_id = chat(stack, prompt).headers["x-regroup-decision-id"]
    message = next(m for m in receive_all(stack) if json.loads(m["Body"])["id"] == decision_id)
    record = {"messageId": "1", "body": message["Body"], "eventSource": "aws:sqs"}
    broken = {"messageId": "2", "body": "not JSON", "eventSource": "aws:sqs"}
    environment = {**stack.aws.environment(), "SAMPLE_BUCKET": SAMPLES, "TIMEZONE": "UTC"}
    with LambdaFunction("collector.entry.lambda_handler", environment) as collector:
        first = collector.handle({"Records": [record, broken]})
        second = collector.handle({"Records": [record]})
    assert first == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert second == {"batchItemFailures": []}
    s3 = stack.aws.client("s3")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=SAMPLES)["Contents"]]
    mine = [key for key in keys if decision_id in key]
    assert len(mine) == 1
    stored = json.loads(s3.get_object(Bucket=SAMPLES, Key=mine[0])["Body"].read())
    assert stored["text"] == prompt
    assert stored["inclusion_probability"] == 1.0
    assert stored["decision"]["routed_model"]


def test_a_judged_answer_is_stored_for_training(stack: LocalStack) -> None:
    answered = chat(stack, "Write a poetic message about 大阪 to a friend.")
    judged = {"decision_id": answered.json["id"], "reward": 0.25}
    assert send(stack, "/v1/feedback", json.dumps(judged).encode()).status == 200
    message = next(m for m in receive_all(stack) if '"reward_scored"' in m["Body"])
    record = {"messageId": "1", "body": message["Body"], "eventSource": "aws:sqs"}
    environment = {**stack.aws.environment(), "SAMPLE_BUCKET": SAMPLES}
    with LambdaFunction("collector.entry.lambda_handler", environment) as collector:
        assert collector.handle({"Records": [record]}) == {"batchItemFailures": []}
    s3 = stack.aws.client("s3")
    (item,) = s3.list_objects_v2(Bucket=SAMPLES, Prefix="rewards/")["Contents"]
    line = json.loads(s3.get_object(Bucket=SAMPLES, Key=item["Key"])["Body"].read())
    assert (line["event"], line["reward_score"]) == ("reward_scored", 0.25)
    assert line["routed_model"] == answered.headers["x-regroup-model"]
    assert line["decision_id"] == answered.headers["x-regroup-decision-id"]


def receive_all(stack: LocalStack) -> list[Any]:
    sqs = stack.aws.client("sqs")
    found: list[Any] = []
    while batch := sqs.receive_message(
        QueueUrl=stack.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0
    ).get("Messages"):
        fresh = [m for m in batch if m["MessageId"] not in {f["MessageId"] for f in found}]
        if not fresh:
            break
        found += fresh
        for message in fresh:
            sqs.change_message_visibility(
                QueueUrl=stack.queue_url,
                ReceiptHandle=message["ReceiptHandle"],
                VisibilityTimeout=600,
            )
    return found


def test_without_a_published_router_the_default_candidate_answers(stack: LocalStack) -> None:
    environment = stack.environment() | {"POINTER_URI": "s3://artifacts/nothing/pointer.json"}
    event = direct("POST", "/v1/chat/completions", "hello")
    with LambdaFunction("classifier.entry.lambda_handler", environment) as function:
        answer = function.handle(event)
        line = decision_line(function, answer["headers"]["x-regroup-decision-id"])
    assert answer["statusCode"] == 200
    assert (line["reason"], line["routed_model"]) == ("no_artifact", "haiku")


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("N_CLUSTERS", "99", "N_CLUSTERS is 99, but the live artifact has 8 clusters"),
        ("CANDIDATE_MODELS", "haiku,gpt-4", "CANDIDATE_MODELS is haiku, gpt-4, but the live"),
        ("MODEL_PATH", __file__, "which is not the encoder.onnx of the live artifact"),
        ("KMEANS_PATH", "/nowhere/kmeans.pkl", "KMEANS_PATH: nothing lies at"),
        ("SAMPLE_RATE", "2", "SAMPLE_RATE is '2': it must be a number from 0 to 1"),
        ("CATALOG_URI", "s3://artifacts/none.json", "CATALOG_URI: nothing lies at"),
        ("DEFAULT_PRESET", "luxury", "DEFAULT_PRESET is 'luxury'; it may be quality"),
    ],
)
def test_a_setting_that_contradicts_the_artifact_stops_the_start_with_one_sentence(
    stack: LocalStack, variable: str, value: str, sentence: str
) -> None:
    environment = stack.environment() | {variable: value}
    with (
        LambdaFunction("classifier.entry.lambda_handler", environment) as function,
        pytest.raises(LambdaInitError, match=sentence),
    ):
        function.wait_until_ready()


def test_settings_that_agree_with_the_artifact_are_accepted(
    stack: LocalStack, artifact: tuple[Path, str]
) -> None:
    folder = artifact[0]
    environment = stack.environment() | {
        "MODEL_PATH": str(folder / "encoder.onnx"),
        "KMEANS_PATH": f"file:{folder / 'kmeans.pkl'}",
        "N_CLUSTERS": "8",
        "CANDIDATE_MODELS": "haiku, sonnet, nova-lite, llama-70b",
    }
    with LambdaFunction("classifier.entry.lambda_handler", environment) as function:
        health = function.handle(direct("GET", "/healthz"))
    assert json.loads(health["body"])["artifact"] == artifact[1]


def test_a_broken_artifact_is_refused_and_the_default_candidate_answers(
    stack: LocalStack, artifact: tuple[Path, str]
) -> None:
    s3 = stack.aws.client("s3")
    manifest = (artifact[0] / "manifest.json").read_bytes()
    prefix = f"broken/artifacts/{artifact[1]}"
    s3.put_object(Bucket="artifacts", Key=f"{prefix}/manifest.json", Body=manifest)
    for name in ("encoder.onnx", "tokenizer.json", "kmeans.pkl", "heads.npz"):
        content = bytearray((artifact[0] / name).read_bytes())
        content[len(content) // 2] ^= name == "heads.npz"
        s3.put_object(Bucket="artifacts", Key=f"{prefix}/{name}", Body=bytes(content))
    pointer = json.dumps({"champion": artifact[1], "schema": 1}).encode()
    s3.put_object(Bucket="artifacts", Key="broken/pointer.json", Body=pointer)
    environment = stack.environment() | {"POINTER_URI": "s3://artifacts/broken/pointer.json"}
    with LambdaFunction("classifier.entry.lambda_handler", environment) as function:
        health = json.loads(function.handle(direct("GET", "/healthz"))["body"])
        log = "\n".join(function.log_lines)
    assert health["artifact"] is None
    assert "artifact rejected: heads.npz" in log
    assert "ArtifactRejected" in log
