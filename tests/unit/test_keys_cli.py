"""`regroup keys`: a key is shown once, money is exact, and what is wrong is one clear line."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from regroup.adapters.dynamodb_budgets import DynamoBudgetStore
from regroup.adapters.dynamodb_keys import DynamoKeyStore
from regroup.domain.budget import Amount, Budget, budget_day
from regroup.domain.keys import KeyRecord, parse_token, verify
from regroup.errors import ConfigurationError, StoreError
from tests.local.aws import LoopbackAws
from training.keys_cli import Desk, keys_app

NOW = datetime.fromisoformat("2026-11-24T16:00Z").timestamp()
"""Still the 24th in London, already the 25th in Tokyo."""
TOKYO, LONDON = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/London")

_tables = count()


@pytest.fixture(scope="module")
def aws() -> Iterator[LoopbackAws]:
    with LoopbackAws() as account:
        yield account


class Keys:
    """A table of its own, and the commands that work on it."""

    def __init__(self, client: Any, table: str) -> None:
        self.table = table
        self.store = DynamoKeyStore(table, client)
        self.budgets = DynamoBudgetStore(table, client)
        self.desk = Desk(
            keys=lambda name: DynamoKeyStore(name, client),
            budgets=lambda name: DynamoBudgetStore(name, client),
            now=lambda: NOW,
        )

    def run(self, *arguments: str) -> Result:
        """Run a command that is expected to go well; a wide terminal folds nothing."""
        result = run(self.desk, *arguments, "--table", self.table)
        if result.exception is not None:
            raise result.exception
        return result

    def add(self, *arguments: str) -> tuple[str, KeyRecord]:
        """Make a key; return its id and what the table holds of it."""
        token = parse_token(self.run("add", *arguments).stdout.strip())
        assert token is not None
        record = self.store.get(token.key_id)
        assert record is not None
        return token.key_id, record


@pytest.fixture
def keys(aws: LoopbackAws) -> Keys:
    table = f"keys{next(_tables)}"
    aws.create_table(table, "key_id")
    return Keys(aws.client("dynamodb"), table)


def run(desk: Desk, *arguments: str, columns: str = "200", terminal: bool = False) -> Result:
    env = {"COLUMNS": columns, "TTY_COMPATIBLE": "1" if terminal else "0"}
    return CliRunner().invoke(keys_app, list(arguments), obj=desk, env=env)


def rows_of(result: Result) -> list[list[str]]:
    """Return the cells of a printed table, its head left out."""
    lines = result.stdout.splitlines()
    starts = [lines[0].index(name) for name in HEADS]
    ends = [*starts[1:], None]
    return [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines[1:]]


HEADS = ("key id", "note", "budget a day", "spent ", "holds until", "state")


def test_the_token_stands_alone_on_standard_output_and_opens_the_door(keys: Keys) -> None:
    result = keys.run("add", "--note", "team a")

    token = parse_token(result.stdout.removesuffix("\n"))
    assert token is not None
    assert token.secret not in result.stderr
    assert token.key_id in result.stderr
    record = keys.store.get(token.key_id)
    assert record is not None
    assert verify(record, token.secret, NOW)
    assert (record.note, record.expires_at, record.budget) == ("team a", None, Budget())


@pytest.mark.parametrize(
    ("arguments", "budget"),
    [
        ((), Budget()),
        (("--usd-per-day", "0.5"), Budget(500_000)),
        (("--usd-per-day", "0.000001"), Budget(1)),
        (("--usd-per-day", "2.50", "--tokens-per-day", "100000"), Budget(2_500_000, 100_000)),
        (("--usd-per-day", "1000000000"), Budget(10**15)),
        (("--usd-per-day", "1e2"), Budget(100_000_000)),
        (("--usd-per-day", "0.10000000000000000000000000000000000"), Budget(100_000)),
        (("--usd-per-day", "0", "--tokens-per-day", "0"), Budget(0, 0)),
    ],
)
def test_a_budget_is_kept_as_it_was_given(
    keys: Keys, arguments: tuple[str, ...], budget: Budget
) -> None:
    assert keys.add(*arguments)[1].budget == budget


@pytest.mark.parametrize(
    ("arguments", "expires_at"),
    [
        ((), None),
        (("--expires", "2027-03-31"), "2027-04-01T00:00+09:00"),
        (("--expires", "2026-11-25"), "2026-11-26T00:00+09:00"),
        (("--expires", "2027-03-27", "--timezone", "Europe/London"), "2027-03-28T00:00+00:00"),
        (("--expires", "2027-03-28", "--timezone", "Europe/London"), "2027-03-29T00:00+01:00"),
        (("--expires", "2026-11-24", "--timezone", "Europe/London"), "2026-11-25T00:00+00:00"),
        (("--days", "30"), "2026-12-24T16:00+00:00"),
    ],
)
def test_a_key_holds_until_the_end_of_the_day_that_is_named(
    keys: Keys, arguments: tuple[str, ...], expires_at: str | None
) -> None:
    expected = None if expires_at is None else datetime.fromisoformat(expires_at).timestamp()

    assert keys.add(*arguments)[1].expires_at == expected


def _no_store(_: str) -> Any:
    raise AssertionError("the table was asked")


NOWHERE = Desk(keys=_no_store, budgets=_no_store, now=lambda: NOW)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--usd-per-day", "-1"), "--usd-per-day is '-1': it may be 0 to"),
        (("--usd-per-day", "1e9999999"), "it may be 0 to"),
        (("--usd-per-day", "Infinity"), "it may be 0 to"),
        (("--usd-per-day", "NaN"), "give an amount such as 2.50"),
        (("--usd-per-day", "sNaN"), "give an amount such as 2.50"),
        (("--usd-per-day", "ten"), "give an amount such as 2.50"),
        (("--usd-per-day", ""), "give an amount such as 2.50"),
        (("--usd-per-day", "2,50"), "give an amount such as 2.50"),
        (("--usd-per-day", "0.0000001"), "nothing finer than 0.000001"),
        (("--usd-per-day", "0.5000000000000000000000000000000000001"), "nothing finer"),
        (("--usd-per-day", "1e-999999"), "nothing finer"),
        (("--tokens-per-day", "-1"), "--tokens-per-day is '-1': it may be 0 to"),
        (("--tokens-per-day", "1" + "0" * 40), "it may be 0 to"),
        (("--expires", "2026-11-24"), "--expires is '2026-11-24': that day is over"),
        (("--expires", "2026-11-23", "--timezone", "Europe/London"), "that day is over"),
        (("--expires", "2027-02-30"), "give a day such as 2027-03-31"),
        (("--expires", "soon"), "give a day such as 2027-03-31"),
        (("--expires", "9999-12-31"), "give a day such as 2027-03-31"),
        (("--expires", "0001-01-01", "--timezone", "UTC"), "that day is over"),
        (("--days", "0"), "--days is '0': it may be 1 to"),
        (("--days", "36501"), "it may be 1 to"),
        (("--days", "1", "--expires", "2027-03-31"), "--expires or --days, not both"),
        (("--note", ""), "--note must be 1 to 200 characters"),
        (("--note", "  "), "--note must be 1 to 200 characters"),
        (("--note", "n" * 201), "--note must be 1 to 200 characters"),
        (("--note", "two\nlines"), "on one line"),
        (("--note", "\x1b[2J"), "that can be printed"),
        (("--note", "\udcff"), "that can be printed"),
        (("--timezone", "Mars/Olympus"), "--timezone is 'Mars/Olympus': use a name such as"),
        (("--timezone", ""), "use a name such as Asia/Tokyo"),
        (("--timezone", "../etc/passwd"), "use a name such as Asia/Tokyo"),
        (("--timezone", "Asia"), "use a name such as Asia/Tokyo"),
    ],
)
def test_bad_input_is_one_clear_line_and_makes_no_key(
    arguments: tuple[str, ...], sentence: str
) -> None:
    result = run(NOWHERE, "add", "--table", "keys", *arguments)

    assert isinstance(result.exception, ConfigurationError)
    assert sentence in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""


def test_the_longest_note_is_kept(keys: Keys) -> None:
    assert keys.add("--note", "長" * 200)[1].note == "長" * 200


amounts_as_text = (
    st.decimals(0, 10**9, places=6).map(str)
    | st.decimals(-10, 10**10).map(str)
    | st.text("0123456789.eE+-_ ", max_size=12)
)


@given(amounts_as_text)
@example("-0")
@example("1e-7")
@example("9" * 400)
def test_no_amount_is_rounded(text: str) -> None:
    made: list[KeyRecord] = []
    desk = Desk(keys=_collect(made), budgets=_no_store, now=lambda: NOW)

    result = run(desk, "add", "--table", "keys", f"--usd-per-day={text}")

    if made:
        assert made[0].budget.usd_micros == Fraction(Decimal(text)) * 1_000_000
    else:
        assert isinstance(result.exception, ConfigurationError)


def _collect(made: list[KeyRecord]) -> Callable[[str], Any]:
    class Store:
        def put(self, _: str, record: KeyRecord) -> None:
            made.append(record)

    return lambda _: Store()


def test_the_list_shows_what_each_key_may_do_and_has_spent_today(keys: Keys) -> None:
    rich, budget = keys.add(
        "--usd-per-day", "2.5", "--tokens-per-day", "100000", "--expires", "2027-03-31",
        "--note", "b",
    )  # fmt: skip
    free, _ = keys.add("--note", "a")
    for zone, usd_micros in ((TOKYO, 123_456), (LONDON, 7)):
        day = budget_day(NOW, zone)
        keys.budgets.hold(rich, Amount(usd_micros, 1_234), budget.budget, day)

    today = keys.run("list")
    assert "spent 2026-11-25" in today.stdout
    assert rows_of(today) == [
        [free, "a", "no limit", "not counted", "forever", "good"],
        [rich, "b", "2.5 USD", "0.123456 USD", "2027-03-31", "good"],
        ["", "", "100,000 tokens", "1,234 tokens", "", ""],
    ]

    in_london = keys.run("list", "--timezone", "Europe/London")
    assert "spent 2026-11-24" in in_london.stdout
    assert rows_of(in_london)[1][3:] == ["0.000007 USD", "2027-03-31 15:59", "good"]


@pytest.mark.parametrize("columns", ["20", "80"])
def test_a_piped_list_keeps_each_key_on_its_line_however_narrow_the_shell_is(
    keys: Keys, columns: str
) -> None:
    lines = []
    for note in ("a" * 200, "長" * 200):
        key_id, _ = keys.add("--note", note, "--usd-per-day", "999999999.999999")
        lines += [f"{key_id} {note} 999,999,999.999999 USD 0 USD forever good", "0 tokens"]

    shown = run(keys.desk, "list", "--table", keys.table, columns=columns).stdout

    assert [" ".join(line.split()) for line in shown.splitlines()[1:]] == lines


def test_a_narrow_terminal_folds_the_notes_and_cuts_no_figure(keys: Keys) -> None:
    # Longer than the other note, and yet not as wide.
    keys.store.put("old", KeyRecord("00", "00", note="two words\n" * 9))
    key_id, _ = keys.add("--note", "n" * 50, "--usd-per-day", "999999999.999999", "--days", "30")

    result = run(keys.desk, "list", "--table", keys.table, columns="30", terminal=True)

    lines = [" ".join(line.split()) for line in click.unstyle(result.stdout).splitlines()]
    note = "n" * 12
    row = f"{key_id} {note} 999,999,999.999999 USD 0 USD 2026-12-25 00:59 good"
    at = lines.index(row)
    assert lines[at + 1 : at + 5] == [f"{note} 0 tokens", note, note, "nn"]
    assert "spent 2026-11-25 holds until state" in lines[0]


def test_a_wide_terminal_folds_nothing(keys: Keys) -> None:
    keys.add("--note", "n" * 50)

    result = run(keys.desk, "list", "--table", keys.table, columns="200", terminal=True)

    assert len(click.unstyle(result.stdout).splitlines()) == 2


def test_the_list_never_shows_a_hash_or_a_counter(keys: Keys) -> None:
    key_id, record = keys.add("--usd-per-day", "1")
    keys.budgets.hold(key_id, Amount(1, 1), record.budget, budget_day(NOW, TOKYO))

    shown = keys.run("list").stdout

    assert record.secret_hash not in shown
    assert record.salt not in shown
    assert shown.count(key_id) == 1


def test_the_list_says_which_keys_no_longer_hold(keys: Keys) -> None:
    for note, expires_at, revoked in (
        ("a", None, True),
        ("b", int(NOW), False),
        ("c", int(NOW) + 1, False),
        ("d", int(NOW) * 1_000_000, False),
    ):
        record = KeyRecord("00", "00", expires_at=expires_at, revoked=revoked, note=note)
        keys.store.put(note, record)

    assert [row[4:] for row in rows_of(keys.run("list"))] == [
        ["forever", "revoked"],
        ["2026-11-25 00:59", "expired"],
        ["2026-11-25 01:00", "good"],
        [str(int(NOW) * 1_000_000), "good"],
    ]


def test_a_note_cannot_steer_the_terminal(keys: Keys) -> None:
    keys.store.put("a", KeyRecord("00", "00", note="\x1b[2J[red]x[/red]\n\u202ey"))

    shown = keys.run("list").stdout

    assert "?[2J[red]x[/red]" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_table_without_keys_says_so(keys: Keys) -> None:
    result = keys.run("list")

    assert (result.stdout, result.stderr) == ("", f"no keys in table {keys.table}\n")


def test_a_revoked_key_stays_in_the_list(keys: Keys) -> None:
    key_id, record = keys.add("--note", "a", "--tokens-per-day", "5")

    said = keys.run("revoke", key_id).stdout

    assert key_id in said
    assert "up to 60 seconds" in said
    assert rows_of(keys.run("list"))[0][-1] == "revoked"
    found = keys.store.get(key_id)
    assert found is not None
    assert (found.revoked, found.budget) == (True, record.budget)


def test_revoking_a_key_that_is_not_there_is_an_error_and_makes_none(keys: Keys) -> None:
    with pytest.raises(ConfigurationError, match="no key abc in table"):
        keys.run("revoke", "abc")

    assert list(keys.store.list()) == []


def test_a_whole_key_is_not_taken_for_its_id_and_its_secret_is_not_repeated() -> None:
    secret = "s" * 64

    result = run(NOWHERE, "revoke", f"rg-abc-{secret}", "--table", "keys")

    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception).endswith("its id alone: abc")
    assert secret not in result.output + str(result.exception)


@pytest.mark.parametrize("key_id", ["abc#2026-11-24", "rg-abc", "", "a b"])
def test_what_is_no_key_id_is_refused_without_asking(key_id: str) -> None:
    result = run(NOWHERE, "revoke", key_id, "--table", "keys")

    assert isinstance(result.exception, ConfigurationError)
    assert "letters and digits" in str(result.exception)


@pytest.mark.parametrize("command", [("add",), ("list",), ("revoke", "abc")])
def test_a_table_that_cannot_be_asked_is_named_and_no_token_is_shown(
    keys: Keys, command: tuple[str, ...]
) -> None:
    result = run(keys.desk, *command, "--table", "nowhere")

    assert isinstance(result.exception, StoreError)
    assert "(table nowhere, ResourceNotFoundException)" in str(result.exception)
    assert result.stdout == ""


def test_the_command_line_ends_with_one_line_and_status_one(aws: LoopbackAws, keys: Keys) -> None:
    command = [sys.executable, "-m", "training.cli", "keys", "revoke", "abc", "--table", keys.table]

    run = subprocess.run(
        command, env=aws.environment(), capture_output=True, text=True, check=False, timeout=60
    )

    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr == f"regroup: no key abc in table {keys.table}; `keys list` shows them\n"
