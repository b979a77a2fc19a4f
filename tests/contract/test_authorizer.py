"""What API Gateway gets from the authorizer, with real boto3 against a real table."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config

from classifier.authorizer import UnauthorizedError, authorize
from classifier.authorizer_settings import AuthorizerSettings
from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.domain.keys import KeyRecord, new_key
from regroup.errors import ConfigurationError, StoreError
from tests.local.aws import LoopbackAws
from tests.local.gateway_authorizer import is_allowed
from tests.local.lambda_runtime import LambdaFunction, LambdaFunctionError
from tests.local.proxy_events import method_arn, token_event

_TABLE = "keys"
_NOW = 1_800_000_000.0
_HANDLER = "classifier.authorizer.lambda_handler"


@pytest.fixture(scope="module")
def aws() -> Iterator[LoopbackAws]:
    with LoopbackAws() as account:
        account.create_table(_TABLE, "key_id")
        yield account


@pytest.fixture(scope="module")
def store(aws: LoopbackAws) -> DynamoKeyStore:
    return DynamoKeyStore(_TABLE, aws.client("dynamodb"))


def _issue(
    store: DynamoKeyStore, *, expires_at: int | None = None, revoked: bool = False, note: str = ""
) -> tuple[str, str, KeyRecord]:
    token, key_id, record = new_key(secrets.token_bytes, expires_at=expires_at, note=note)
    record = replace(record, revoked=revoked)
    store.put(key_id, record)
    return token, key_id, record


def _event(authorization: str) -> dict[str, Any]:
    return token_event(authorization, "POST", "/v1/chat/completions")


def test_a_good_key_gets_a_policy_for_every_path_of_the_stage(store: DynamoKeyStore) -> None:
    token, key_id, _ = _issue(store)

    policy = authorize(_event(f"Bearer {token}"), store, _NOW)

    assert policy["principalId"] == key_id
    assert policy["context"] == {"key_id": key_id}
    document = policy["policyDocument"]
    assert document["Version"] == "2012-10-17"
    assert is_allowed(document, method_arn("POST", "/v1/chat/completions"))
    assert is_allowed(document, method_arn("GET", "/v1/models"))
    assert not is_allowed(document, method_arn("GET", "/v1/models", stage="other"))


def test_the_scheme_may_be_spelled_in_any_case(store: DynamoKeyStore) -> None:
    token, key_id, _ = _issue(store)

    assert authorize(_event(f"bearer {token}"), store, _NOW)["principalId"] == key_id


@pytest.mark.parametrize(
    ("revoked", "expires_at"),
    [(True, None), (True, int(_NOW) + 9), (False, int(_NOW)), (False, 0)],
)
def test_a_key_that_no_longer_holds_is_refused(
    store: DynamoKeyStore, revoked: bool, expires_at: int | None
) -> None:
    token, _, _ = _issue(store, revoked=revoked, expires_at=expires_at)

    with pytest.raises(UnauthorizedError, match=r"^Unauthorized$"):
        authorize(_event(f"Bearer {token}"), store, _NOW)


def test_a_key_works_until_it_expires(store: DynamoKeyStore) -> None:
    token, key_id, _ = _issue(store, expires_at=int(_NOW) + 1)

    assert authorize(_event(f"Bearer {token}"), store, _NOW)["principalId"] == key_id


def test_a_wrong_secret_and_an_unknown_id_are_refused_alike(store: DynamoKeyStore) -> None:
    _, key_id, _ = _issue(store)
    errors = []
    for token in (f"rg-{key_id}-{'0' * 64}", f"rg-{'0' * 16}-{'0' * 64}"):
        with pytest.raises(UnauthorizedError) as caught:
            authorize(_event(f"Bearer {token}"), store, _NOW)
        errors.append((type(caught.value), caught.value.args))

    assert errors[0] == errors[1] == (UnauthorizedError, ("Unauthorized",))


class _UntouchableStore:
    def get(self, key_id: str) -> KeyRecord | None:
        raise AssertionError(f"the store was asked for {key_id!r}")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        f"rg-a-{'s' * 64}",
        f"Basic rg-a-{'s' * 64}",
        "Bearer sk-something",
        "Bearer rg-a-short",
        "Bearer rg-a-" + "s" * 1_000_000,
        "Bearer rg-" + "a" * 1_000_000 + "-" + "s" * 64,
        "Bearer rg-é-" + "s" * 64,
    ],
)
def test_what_is_no_key_is_refused_without_asking_the_store(authorization: str) -> None:
    with pytest.raises(UnauthorizedError, match=r"^Unauthorized$"):
        authorize(_event(authorization), _UntouchableStore(), _NOW)


def test_an_event_without_a_token_is_refused() -> None:
    with pytest.raises(UnauthorizedError, match=r"^Unauthorized$"):
        authorize({"type": "TOKEN", "methodArn": "a/b/c"}, _UntouchableStore(), _NOW)


def test_a_record_comes_back_as_it_was_put(store: DynamoKeyStore) -> None:
    _, key_id, record = _issue(store, expires_at=5, revoked=True, note="team a")
    assert store.get(key_id) == record

    store.put(key_id, replace(record, expires_at=None, revoked=False))
    assert store.get(key_id) == replace(record, expires_at=None, revoked=False)


def test_putting_a_key_leaves_its_budget_alone(aws: LoopbackAws, store: DynamoKeyStore) -> None:
    _, key_id, record = _issue(store)
    client, key = aws.client("dynamodb"), {"key_id": {"S": key_id}}
    client.update_item(
        TableName=_TABLE,
        Key=key,
        UpdateExpression="ADD spent_usd :cost",
        ExpressionAttributeValues={":cost": {"N": "1.5"}},
    )

    store.put(key_id, replace(record, revoked=True))

    assert client.get_item(TableName=_TABLE, Key=key)["Item"]["spent_usd"] == {"N": "1.5"}


def test_a_budget_without_a_key_is_no_key(aws: LoopbackAws, store: DynamoKeyStore) -> None:
    item = {"key_id": {"S": "ghost"}, "spent_usd": {"N": "1"}}
    aws.client("dynamodb").put_item(TableName=_TABLE, Item=item)

    assert store.get("ghost") is None


@pytest.mark.parametrize(
    "damage",
    [
        {"salt": {"S": "00"}},
        {"hash": {"S": "00"}},
        {"salt": {"N": "0"}, "hash": {"S": "00"}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "revoked": {"S": "yes"}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "expires_at": {"S": "never"}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "expires_at": {"N": "1.5"}},
    ],
)
def test_a_damaged_item_is_an_error_and_never_a_key_that_holds(
    aws: LoopbackAws, store: DynamoKeyStore, damage: dict[str, Any]
) -> None:
    aws.client("dynamodb").put_item(TableName=_TABLE, Item={"key_id": {"S": "damaged"}, **damage})

    with pytest.raises(StoreError, match="no key record"):
        store.get("damaged")


def test_a_table_that_is_not_there_is_a_store_error(aws: LoopbackAws) -> None:
    lost = DynamoKeyStore("nowhere", aws.client("dynamodb"))

    with pytest.raises(StoreError, match="did not answer"):
        lost.get("a")
    with pytest.raises(StoreError, match="did not take"):
        lost.put("a", KeyRecord(salt="", secret_hash=""))


def test_a_server_that_is_not_there_is_a_store_error() -> None:
    client = boto3.client(
        "dynamodb",
        region_name="ap-northeast-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )

    with pytest.raises(StoreError):
        DynamoKeyStore(_TABLE, client).get("a")
    client.close()


def test_the_deployed_handler_allows_refuses_and_logs_no_secret(
    aws: LoopbackAws, store: DynamoKeyStore
) -> None:
    token, key_id, _ = _issue(store)
    wrong = f"rg-{key_id}-{'0' * 64}"
    with LambdaFunction(_HANDLER, {**aws.environment(), "KEYS_TABLE": _TABLE}) as function:
        policy = function.handle(_event(f"Bearer {token}"))
        with pytest.raises(LambdaFunctionError) as caught:
            function.handle(_event(f"Bearer {wrong}"))

    assert policy["context"] == {"key_id": key_id}
    assert str(caught.value) == "Unauthorized"
    log = "\n".join(function.log_lines)
    assert token.rsplit("-", 1)[1] not in log
    assert "0" * 64 not in log


def test_a_store_failure_is_no_refusal_and_one_line_in_the_log(aws: LoopbackAws) -> None:
    token, _, _ = new_key(secrets.token_bytes)
    with LambdaFunction(_HANDLER, {**aws.environment(), "KEYS_TABLE": "nowhere"}) as function:
        with pytest.raises(LambdaFunctionError) as caught:
            function.handle(_event(f"Bearer {token}"))
        lines = [line for line in function.log_lines if "key_store_failed" in line]

    assert caught.value.error_type == "StoreError"
    assert len(lines) == 1
    line = json.loads(lines[0][lines[0].index("{") :])
    assert line["cause"] == "ResourceNotFoundException"
    assert token.rsplit("-", 1)[1] not in "\n".join(function.log_lines)


@pytest.mark.parametrize("environment", [{}, {"KEYS_TABLE": " "}])
def test_a_missing_table_name_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="KEYS_TABLE"):
        AuthorizerSettings.from_environment(environment)


def test_importing_the_authorizer_needs_no_environment_and_loads_nothing_heavy() -> None:
    program = (
        "import sys, classifier.authorizer;"
        "heavy = {'numpy', 'onnxruntime', 'pydantic', 'tokenizers', 'aws_lambda_powertools'};"
        "print(sorted(heavy & set(sys.modules)))"
    )

    run = subprocess.run(  # noqa: S603 - this interpreter, and the program above
        [sys.executable, "-c", program],
        env={},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert run.stdout.strip() == "[]"
