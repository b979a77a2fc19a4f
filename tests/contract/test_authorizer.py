"""What API Gateway gets from the authorizer, with real boto3 against a real table."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from classifier.authorizer import UnauthorizedError, authorize
from classifier.authorizer_settings import AuthorizerSettings
from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.domain.budget import NO_LIMITS, Budget
from regroup.domain.keys import KeyRecord, new_key
from regroup.errors import ConfigurationError, StoreError
from tests.local.aws import LoopbackAws
from tests.local.broken_table import FAULTS, broken_table, check_store_errors
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
    store: DynamoKeyStore,
    *,
    expires_at: int | None = None,
    revoked: bool = False,
    note: str = "",
    budget: Budget = NO_LIMITS,
) -> tuple[str, str, KeyRecord]:
    token, key_id, record = new_key(
        secrets.token_bytes, expires_at=expires_at, note=note, budget=budget
    )
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


@pytest.mark.parametrize(
    ("budget", "limits"),
    [
        (Budget(), {}),
        (Budget(usd_micros=2_500_000), {"daily_usd_micros": "2500000"}),
        (Budget(tokens=10**12), {"daily_tokens": "1000000000000"}),
        (Budget(0, 0), {"daily_usd_micros": "0", "daily_tokens": "0"}),
    ],
)
def test_the_limits_that_are_set_reach_the_classifier_as_text(
    store: DynamoKeyStore, budget: Budget, limits: dict[str, str]
) -> None:
    token, key_id, _ = _issue(store, budget=budget)

    policy = authorize(_event(f"Bearer {token}"), store, _NOW)

    assert policy["context"] == {"key_id": key_id, **limits}


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
    _, key_id, record = _issue(
        store, expires_at=5, revoked=True, note="team a", budget=Budget(0, 10**15)
    )
    assert store.get(key_id) == record

    changed = replace(record, expires_at=None, revoked=False, budget=Budget(tokens=3))
    store.put(key_id, changed)
    assert store.get(key_id) == changed


def test_a_budget_lies_in_the_table_as_whole_numbers(
    aws: LoopbackAws, store: DynamoKeyStore
) -> None:
    _, key_id, _ = _issue(store, budget=Budget(2_500_000, 7))

    item = aws.client("dynamodb").get_item(TableName=_TABLE, Key={"key_id": {"S": key_id}})["Item"]

    assert item["daily_usd_micros"] == {"N": "2500000"}
    assert item["daily_tokens"] == {"N": "7"}


def test_putting_and_revoking_leave_what_else_the_item_holds(
    aws: LoopbackAws, store: DynamoKeyStore
) -> None:
    _, key_id, record = _issue(store)
    client, key = aws.client("dynamodb"), {"key_id": {"S": key_id}}
    client.update_item(
        TableName=_TABLE,
        Key=key,
        UpdateExpression="SET team = :team",
        ExpressionAttributeValues={":team": {"S": "a"}},
    )

    store.put(key_id, replace(record, note="changed"))
    store.revoke(key_id)

    assert client.get_item(TableName=_TABLE, Key=key)["Item"]["team"] == {"S": "a"}


def test_an_item_without_salt_and_hash_is_no_key(aws: LoopbackAws, store: DynamoKeyStore) -> None:
    item = {"key_id": {"S": "ghost"}, "note": {"S": "who?"}}
    aws.client("dynamodb").put_item(TableName=_TABLE, Item=item)

    assert store.get("ghost") is None
    assert not store.revoke("ghost")
    assert "ghost" not in dict(store.list())


@pytest.mark.parametrize("key_id", ["a#2026-11-24", "a b", "é", "a" * 33])
def test_what_no_token_can_name_is_not_put(store: DynamoKeyStore, key_id: str) -> None:
    with pytest.raises(ValueError, match="letters and digits"):
        store.put(key_id, KeyRecord(salt="", secret_hash=""))


def test_a_revoked_key_is_refused_and_its_record_is_else_unchanged(store: DynamoKeyStore) -> None:
    token, key_id, record = _issue(store, expires_at=int(_NOW) + 9, note="a", budget=Budget(5, 6))

    assert store.revoke(key_id)

    assert store.get(key_id) == replace(record, revoked=True)
    with pytest.raises(UnauthorizedError):
        authorize(_event(f"Bearer {token}"), store, _NOW)
    assert store.revoke(key_id), "a second time it is still there"


def test_revoking_an_unknown_key_makes_none(aws: LoopbackAws, store: DynamoKeyStore) -> None:
    assert not store.revoke("unknown")

    found = aws.client("dynamodb").get_item(TableName=_TABLE, Key={"key_id": {"S": "unknown"}})
    assert "Item" not in found


def test_every_key_is_listed_over_as_many_pages_as_it_takes(aws: LoopbackAws) -> None:
    # A page ends at 1 MB: these are three.
    aws.create_table("pages", "key_id")
    store = DynamoKeyStore("pages", aws.client("dynamodb"))
    issued = dict(_issue(store, note="n" * 300_000, budget=Budget(n, n))[1:] for n in range(7))

    assert dict(store.list()) == issued


def test_an_empty_table_lists_nothing(aws: LoopbackAws) -> None:
    aws.create_table("empty", "key_id")

    assert list(DynamoKeyStore("empty", aws.client("dynamodb")).list()) == []


@pytest.mark.parametrize(
    "damage",
    [
        {"salt": {"S": "00"}},
        {"hash": {"S": "00"}},
        {"salt": {"N": "0"}, "hash": {"S": "00"}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "revoked": {"S": "yes"}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "expires_at": {"S": "never"}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "expires_at": {"N": "1.5"}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "daily_usd_micros": {"S": "5"}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "daily_usd_micros": {"NULL": True}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "daily_usd_micros": {"N": "0.5"}},
        {"salt": {"S": "00"}, "hash": {"S": "00"}, "daily_tokens": {"N": "-1"}},
    ],
)
def test_a_damaged_item_is_an_error_and_never_a_key_that_holds(
    aws: LoopbackAws, store: DynamoKeyStore, damage: dict[str, Any]
) -> None:
    client, key = aws.client("dynamodb"), {"key_id": {"S": "damaged"}}
    client.put_item(TableName=_TABLE, Item={**key, **damage})
    try:
        with pytest.raises(StoreError, match="no key record"):
            store.get("damaged")
        with pytest.raises(StoreError, match="'damaged' of the key table is no key record"):
            list(store.list())
        assert store.revoke("damaged")
    finally:
        client.delete_item(TableName=_TABLE, Key=key)


def test_a_table_that_was_never_made_is_a_store_error(aws: LoopbackAws) -> None:
    _check_store_errors(DynamoKeyStore("nowhere", aws.client("dynamodb")))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_fails_is_a_store_error(fault: str) -> None:
    with broken_table(fault) as client:
        _check_store_errors(DynamoKeyStore(_TABLE, client))


def _check_store_errors(lost: DynamoKeyStore) -> None:
    check_store_errors(
        "the key table did not answer", lambda: lost.get("a"), lambda: list(lost.list())
    )
    check_store_errors(
        "the key table did not take the key",
        lambda: lost.put("a", KeyRecord(salt="", secret_hash="")),
    )
    check_store_errors("the key table did not take the revocation", lambda: lost.revoke("a"))


def test_a_shell_without_a_region_is_a_store_error() -> None:
    program = (
        "from regroup.adapters.dynamodb_budgets import DynamoBudgetStore\n"
        "from regroup.adapters.dynamodb_keys import DynamoKeyStore\n"
        "from regroup.errors import StoreError\n"
        "for store in (DynamoBudgetStore, DynamoKeyStore):\n"
        "    try: store.connect('keys')\n"
        "    except StoreError as error: print(type(error.__cause__).__name__, error)"
    )

    printed = _printed(program, {"AWS_CONFIG_FILE": "/dev/null"})

    first, second = printed.splitlines()
    assert first == second
    assert first.startswith("NoRegionError no AWS region is set: set AWS_DEFAULT_REGION ")


class _Unasked:
    """A client without credentials, which only a call finds out."""

    def __getattr__(self, _: str) -> Any:
        raise NoCredentialsError


def test_a_shell_without_credentials_is_told_the_cure() -> None:
    client: Any = _Unasked()
    store = DynamoKeyStore(_TABLE, client)
    check_store_errors(
        "no AWS credentials were found: set AWS_PROFILE, or run where a role gives them",
        lambda: store.get("a"),
        lambda: list(store.list()),
        lambda: store.put("a", KeyRecord(salt="", secret_hash="")),
        lambda: store.revoke("a"),
    )


def test_the_deployed_handler_allows_refuses_and_logs_no_secret(
    aws: LoopbackAws, store: DynamoKeyStore
) -> None:
    token, key_id, _ = _issue(store, budget=Budget(2_500_000, 7))
    wrong = f"rg-{key_id}-{'0' * 64}"
    with LambdaFunction(_HANDLER, {**aws.environment(), "KEYS_TABLE": _TABLE}) as function:
        policy = function.handle(_event(f"Bearer {token}"))
        with pytest.raises(LambdaFunctionError) as caught:
            function.handle(_event(f"Bearer {wrong}"))

    limits = {"daily_usd_micros": "2500000", "daily_tokens": "7"}
    assert policy["context"] == {"key_id": key_id, **limits}
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

    assert _printed(program, {}) == "[]"


def _printed(program: str, environment: dict[str, str]) -> str:
    """Return what a Python program prints in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return run.stdout.strip()
