"""Budgets with real boto3 against a real table's behaviour: nothing is ever overdrawn."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import NoCredentialsError
from hypothesis import given, settings
from hypothesis import strategies as st

from regroup.adapters.dynamodb_budgets import DynamoBudgetStore
from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.domain.budget import NO_LIMITS, Amount, Budget, BudgetDay, Holding
from regroup.domain.keys import KeyRecord
from regroup.errors import StoreError
from tests.local.aws import REGION, LoopbackAws
from tests.local.broken_table import FAULTS, Client, broken_table, check_store_errors
from tests.local.fakes import PATIENT

TABLE = "keys"
TODAY = BudgetDay("2026-11-24", 1_795_532_400.0)
TOMORROW = BudgetDay("2026-11-25", TODAY.ends_at + 86_400)
NOTHING = Amount(0, 0)

_numbers = count()


@pytest.fixture(scope="module")
def aws() -> Iterator[LoopbackAws]:
    with LoopbackAws() as account:
        account.create_table(TABLE, "key_id")
        yield account


@pytest.fixture(scope="module")
def table(aws: LoopbackAws) -> Client:
    return aws.client("dynamodb")


@pytest.fixture(scope="module")
def store(table: Client) -> DynamoBudgetStore:
    return DynamoBudgetStore(TABLE, table)


@contextmanager
def crowded(aws: LoopbackAws) -> Iterator[DynamoBudgetStore]:
    """Yield a store whose client has a connection for each of fifty threads."""
    config = Config(max_pool_connections=50, retries={"total_max_attempts": 1})
    session = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none")
    client = session.client(
        "dynamodb", region_name=REGION, endpoint_url=aws.endpoint_url, config=config
    )
    with closing(client):
        yield DynamoBudgetStore(TABLE, client)


def at_once(action: Callable[[], object]) -> None:
    """Let fifty threads do the same thing at the same moment."""
    barrier = threading.Barrier(50)

    def wait_and_act() -> None:
        barrier.wait(timeout=30)
        action()

    threads = [threading.Thread(target=wait_and_act) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def new_key() -> str:
    return f"key{next(_numbers)}"


def item_of(table: Client, key: str) -> dict[str, Any]:
    found: dict[str, Any] = table.get_item(TableName=TABLE, Key={"key_id": {"S": key}})
    return dict(found.get("Item", {}))


def test_what_is_set_aside_counts_until_the_budget_is_full(store: DynamoBudgetStore) -> None:
    key, budget, half = new_key(), Budget(100, 1_000), Amount(50, 200)

    assert store.hold(key, half, budget, TODAY) == Holding(True, Amount(50, 200))
    assert store.hold(key, half, budget, TODAY) == Holding(True, Amount(100, 400))
    assert store.hold(key, Amount(1, 0), budget, TODAY) == Holding(False, Amount(100, 400))
    assert store.spent(key, TODAY) == Amount(100, 400)


@pytest.mark.parametrize(
    ("budget", "spent", "amount"),
    [
        (Budget(10, 10), NOTHING, Amount(10, 10)),
        (Budget(10, 10), NOTHING, Amount(11, 1)),
        (Budget(10, 10), NOTHING, Amount(1, 11)),
        (Budget(10, 10), Amount(4, 4), Amount(6, 6)),
        (Budget(10, 10), Amount(4, 4), Amount(7, 6)),
        (Budget(10, 10), Amount(4, 4), Amount(6, 7)),
        (Budget(10, 10), Amount(4, 4), Amount(11, 1)),
        (Budget(10, None), NOTHING, Amount(10, 10**12)),
        (Budget(10, None), NOTHING, Amount(11, 0)),
        (Budget(None, 10), NOTHING, Amount(10**12, 10)),
        (Budget(None, 10), Amount(9, 9), Amount(0, 2)),
        (Budget(0, None), NOTHING, Amount(0, 5)),
        (Budget(0, None), NOTHING, Amount(1, 0)),
        (Budget(None, 0), NOTHING, Amount(0, 1)),
        (Budget(10, 10), Amount(12, 0), NOTHING),
        (Budget(10, 10), Amount(-5, 0), Amount(15, 0)),
        (NO_LIMITS, Amount(9, 9), Amount(10**15, 10**15)),
    ],
)
def test_the_table_decides_as_the_budget_does(
    store: DynamoBudgetStore, budget: Budget, spent: Amount, amount: Amount
) -> None:
    key = new_key()
    if spent != NOTHING:
        store.settle(key, spent, TODAY)

    holding = store.hold(key, amount, budget, TODAY)

    after = Amount(spent.usd_micros + amount.usd_micros, spent.tokens + amount.tokens)
    fits = budget.holds(amount, spent)
    assert holding == Holding(fits, after if fits else spent)
    assert store.spent(key, TODAY) == holding.spent


def test_a_refusal_leaves_the_table_as_it_was(store: DynamoBudgetStore, table: Client) -> None:
    key = new_key()

    assert store.hold(key, Amount(11, 0), Budget(10), TODAY) == Holding(False, NOTHING)

    assert item_of(table, f"{key}#{TODAY.name}") == {}


def test_every_answer_takes_one_request(aws: LoopbackAws) -> None:
    asked: list[str] = []
    client = aws.client("dynamodb")
    client.meta.events.register("before-call.dynamodb", lambda model, **_: asked.append(model.name))
    store, key = DynamoBudgetStore(TABLE, client), new_key()

    store.hold(key, Amount(6, 6), Budget(10, 10), TODAY)
    store.hold(key, Amount(6, 6), Budget(10, 10), TODAY)
    store.hold(key, Amount(11, 0), Budget(10, 10), TODAY)
    store.settle(key, Amount(-1, -1), TODAY)

    assert asked == ["UpdateItem"] * 4


def test_what_is_given_back_can_be_spent_again(store: DynamoBudgetStore) -> None:
    key, budget, all_of_it = new_key(), Budget(10, 10), Amount(10, 10)
    assert store.hold(key, all_of_it, budget, TODAY).granted
    assert not store.hold(key, Amount(4, 4), budget, TODAY).granted

    store.settle(key, Amount(-4, -5), TODAY)

    assert store.hold(key, Amount(4, 4), budget, TODAY) == Holding(True, Amount(10, 9))
    assert not store.hold(key, Amount(1, 0), budget, TODAY).granted


def test_what_cost_more_than_was_set_aside_is_counted(store: DynamoBudgetStore) -> None:
    key = new_key()
    store.hold(key, Amount(8, 8), Budget(10, 10), TODAY)

    store.settle(key, Amount(4, 0), TODAY)

    assert store.hold(key, NOTHING, Budget(10, 10), TODAY) == Holding(False, Amount(12, 8))


def test_the_next_day_is_whole_again(store: DynamoBudgetStore) -> None:
    key, budget, all_of_it = new_key(), Budget(10, 10), Amount(10, 10)
    assert store.hold(key, all_of_it, budget, TODAY).granted

    assert store.hold(key, all_of_it, budget, TOMORROW) == Holding(True, all_of_it)
    store.settle(key, Amount(-10, -10), TODAY)

    assert store.spent(key, TODAY) == NOTHING
    assert store.spent(key, TOMORROW) == all_of_it


def test_keys_do_not_share_a_budget(store: DynamoBudgetStore) -> None:
    one, other = new_key(), new_key()
    store.hold(one, Amount(10, 10), Budget(10, 10), TODAY)

    assert store.spent(other, TODAY) == NOTHING
    assert store.hold(other, Amount(10, 10), Budget(10, 10), TODAY).granted


counts = st.integers(0, 12)
calls = st.lists(
    st.tuples(
        st.builds(Amount, counts, counts), st.floats(0, 1), st.sampled_from([TODAY, TOMORROW])
    ),
    max_size=8,
)
limits = st.none() | st.integers(0, 25)


@settings(PATIENT, max_examples=15)
@given(st.builds(Budget, limits, limits), calls)
def test_no_sequence_of_calls_overdraws_and_none_is_refused_that_fits(
    store: DynamoBudgetStore, budget: Budget, calls: list[tuple[Amount, float, BudgetDay]]
) -> None:
    key, spent = new_key(), {TODAY: NOTHING, TOMORROW: NOTHING}
    for most, share_used, day in calls:
        before = spent[day]
        holding = store.hold(key, most, budget, day)
        assert holding.granted == budget.holds(most, before)
        if not holding.granted:
            assert holding.spent == before
            continue
        assert budget.holds(NOTHING, holding.spent)
        change = Amount(-int(most.usd_micros * share_used), -int(most.tokens * share_used))
        store.settle(key, change, day)
        spent[day] = Amount(
            before.usd_micros + most.usd_micros + change.usd_micros,
            before.tokens + most.tokens + change.tokens,
        )
        assert store.spent(key, day) == spent[day]


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Let threads take turns within a request, not only between two."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("budget", [Budget(1_000, None), Budget(None, 50), Budget(1_000, 50)])
def test_of_fifty_at_once_exactly_as_many_are_granted_as_the_budget_holds(
    aws: LoopbackAws, budget: Budget
) -> None:
    # This shows that one request decides. That no other comes between its condition and its
    # effect is DynamoDB's own promise, which the loopback account keeps by a lock.
    key, holdings = new_key(), list[Holding]()
    with crowded(aws) as store:
        at_once(lambda: holdings.append(store.hold(key, Amount(100, 5), budget, TODAY)))
        spent = store.spent(key, TODAY)

    granted = [holding.spent.tokens for holding in holdings if holding.granted]
    refused = [holding.spent for holding in holdings if not holding.granted]
    assert sorted(granted) == [5 * n for n in range(1, 11)]
    assert refused == [Amount(1_000, 50)] * 40
    assert spent == Amount(1_000, 50)


@pytest.mark.usefixtures("restless_threads")
def test_what_fifty_give_back_at_once_is_all_counted(aws: LoopbackAws) -> None:
    key = new_key()
    with crowded(aws) as store:
        store.hold(key, Amount(5_000, 500), NO_LIMITS, TODAY)
        at_once(lambda: store.settle(key, Amount(-100, -10), TODAY))

        assert store.spent(key, TODAY) == NOTHING


def test_a_counter_outlives_its_day_by_days_and_ttl_reads_seconds(
    store: DynamoBudgetStore, table: Client
) -> None:
    held, settled = new_key(), new_key()
    store.hold(held, Amount(1, 1), Budget(10, 10), TODAY)
    store.settle(settled, Amount(1, 1), TODAY)

    for key in (held, settled):
        expiry = int(item_of(table, f"{key}#{TODAY.name}")["expire_at"]["N"])
        assert 86_400 < expiry - TODAY.ends_at < 31 * 86_400


def test_keys_and_counters_lie_in_one_table_and_never_meet(
    store: DynamoBudgetStore, table: Client
) -> None:
    keys, key = DynamoKeyStore(TABLE, table), new_key()
    record = KeyRecord(salt="00", secret_hash="00", budget=Budget(10, 10))
    keys.put(key, record)
    store.hold(key, Amount(7, 7), record.budget, TODAY)
    counter = f"{key}#{TODAY.name}"

    assert keys.get(key) == record
    assert keys.get(counter) is None
    assert [found for found, _ in keys.list() if found.startswith(key)] == [key]
    assert not keys.revoke(counter)
    keys.put(key, record)
    assert store.spent(key, TODAY) == Amount(7, 7)


@pytest.mark.parametrize(
    "damage",
    [
        {"spent_usd_micros": {"S": "1"}, "spent_tokens": {"N": "1"}},
        {"spent_usd_micros": {"N": "0.5"}, "spent_tokens": {"N": "1"}},
        {"spent_usd_micros": {"N": "9"}},
        {"spent_usd_micros": {"NULL": True}, "spent_tokens": {"NULL": True}},
    ],
)
@pytest.mark.parametrize("budget", [Budget(5, 5), NO_LIMITS])
def test_a_damaged_counter_is_an_error_and_never_room(
    store: DynamoBudgetStore, table: Client, damage: dict[str, Any], budget: Budget
) -> None:
    key = new_key()
    table.put_item(TableName=TABLE, Item={"key_id": {"S": f"{key}#{TODAY.name}"}, **damage})

    with pytest.raises(StoreError):
        store.spent(key, TODAY)
    if damage.keys() == {"spent_usd_micros"} and not budget:
        return  # What is absent counts as nothing, and then it is there.
    with pytest.raises(StoreError):
        store.hold(key, Amount(1, 1), budget, TODAY)


def check_store_error(lost: DynamoBudgetStore) -> None:
    check_store_errors(
        "the budget table did not answer",
        lambda: lost.hold("a", Amount(1, 1), Budget(10, 10), TODAY),
        lambda: lost.settle("a", Amount(1, 1), TODAY),
        lambda: lost.spent("a", TODAY),
    )


class Unasked:
    """A client without credentials, which only a call finds out."""

    def __getattr__(self, _: str) -> Any:
        raise NoCredentialsError


def test_a_shell_without_credentials_is_told_the_cure() -> None:
    client: Client = Unasked()
    lost = DynamoBudgetStore(TABLE, client)
    check_store_errors(
        "no AWS credentials were found: set AWS_PROFILE, or run where a role gives them",
        lambda: lost.hold("a", Amount(1, 1), Budget(10, 10), TODAY),
        lambda: lost.settle("a", Amount(1, 1), TODAY),
        lambda: lost.spent("a", TODAY),
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_fails_is_a_store_error(fault: str) -> None:
    with broken_table(fault) as client:
        check_store_error(DynamoBudgetStore(TABLE, client))


def test_a_table_that_was_never_made_is_a_store_error(table: Client) -> None:
    check_store_error(DynamoBudgetStore("nowhere", table))


def test_a_table_that_hangs_is_given_up_when_the_client_says_so() -> None:
    # The client waits a tenth of a second; the rest is for a busy machine.
    with broken_table("hangs") as client:
        started = time.monotonic()
        check_store_error(DynamoBudgetStore(TABLE, client))
        assert time.monotonic() - started < 3


class Answering:
    """A table that answers every update alike."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def update_item(self, **_: object) -> dict[str, Any]:
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Attributes": {}},
        {"Attributes": {"spent_usd_micros": {"N": "1"}}},
        {"Attributes": {"spent_usd_micros": {"N": "many"}, "spent_tokens": {"N": "1"}}},
    ],
)
def test_an_answer_that_does_not_say_what_is_spent_grants_nothing(answer: dict[str, Any]) -> None:
    odd: Client = Answering(answer)

    with pytest.raises(StoreError, match="no counter"):
        DynamoBudgetStore(TABLE, odd).hold("a", Amount(1, 1), Budget(10, 10), TODAY)
