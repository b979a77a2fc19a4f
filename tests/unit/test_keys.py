"""A key opens its own door, for as long as it holds, and no other."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regroup.domain.budget import Budget
from regroup.domain.keys import KeyRecord, Token, is_key_id, new_key, parse_token, verify

_ENTROPY = 56  # key id, secret and salt
_seeds = st.binary(min_size=_ENTROPY, max_size=_ENTROPY)
_secrets = st.from_regex(r"[A-Za-z0-9_]{32,128}", fullmatch=True)


def _source(seed: bytes) -> Callable[[int], bytes]:
    left = bytearray(seed)

    def take(size: int) -> bytes:
        taken = bytes(left[:size])
        del left[:size]
        assert len(taken) == size
        return taken

    return take


def _made(seed: bytes = b"\x07" * _ENTROPY) -> tuple[Token, KeyRecord]:
    text, key_id, record = new_key(_source(seed))
    token = parse_token(text)
    assert token is not None
    assert token.key_id == key_id
    return token, record


@given(_seeds)
def test_every_new_key_verifies(seed: bytes) -> None:
    token, record = _made(seed)

    assert verify(record, token.secret, now=0)


@given(_seeds, _secrets)
def test_no_other_secret_verifies(seed: bytes, secret: str) -> None:
    token, record = _made(seed)
    assume(secret != token.secret)

    assert not verify(record, secret, now=0)


@given(_seeds, _seeds)
def test_the_secret_of_another_key_does_not_verify(one: bytes, two: bytes) -> None:
    (first, record), (second, _) = _made(one), _made(two)
    assume(first.secret != second.secret)

    assert not verify(record, second.secret, now=0)


@given(_seeds, st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_key_holds_until_the_second_it_expires(seed: bytes, expires_at: int, now: int) -> None:
    token, record = _made(seed)

    assert verify(replace(record, expires_at=expires_at), token.secret, now) == (now < expires_at)


@given(_seeds, st.none() | st.integers(1, 2**40))
def test_a_revoked_key_is_refused_whenever_it_expires(seed: bytes, expires_at: int | None) -> None:
    token, record = _made(seed)

    assert not verify(replace(record, revoked=True, expires_at=expires_at), token.secret, now=0)


@given(st.text())
def test_any_text_can_be_parsed_without_an_error(text: str) -> None:
    token = parse_token(text)

    assert token is None or text == f"rg-{token.key_id}-{token.secret}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rg-",
        "rg-a",
        "rg-a-",
        "rg--" + "s" * 32,
        "rg-a-" + "s" * 31,
        "rg-a-" + "s" * 129,
        "rg-" + "a" * 33 + "-" + "s" * 32,
        "rg-a-" + "s" * 32 + "\n",
        " rg-a-" + "s" * 32,
        "sk-a-" + "s" * 32,
        "RG-a-" + "s" * 32,
        "rg-a-" + "s" * 31 + "-",
        "rg-a-" + "\uff53" * 32,
        "rg-\u0661-" + "s" * 32,
    ],
)
def test_what_is_no_token_is_not_parsed(text: str) -> None:
    assert parse_token(text) is None


@given(st.text() | st.from_regex(r"[A-Za-z0-9]{1,32}(#[0-9-]*)?", fullmatch=True))
def test_a_key_id_is_what_a_token_can_carry(text: str) -> None:
    token = parse_token(f"rg-{text}-{'s' * 32}")

    assert is_key_id(text) == (token is not None and token.key_id == text)
    assert not (is_key_id(text) and "#" in text)


@given(_seeds)
def test_every_new_key_has_an_id_that_a_key_may_have(seed: bytes) -> None:
    assert is_key_id(_made(seed)[0].key_id)


def test_a_new_key_has_the_budget_it_was_given_and_else_none() -> None:
    budget = Budget(usd_micros=500_000, tokens=7)

    assert new_key(_source(b"\x07" * _ENTROPY), budget=budget)[2].budget == budget
    assert not _made()[1].budget


def test_a_damaged_hash_refuses_instead_of_raising() -> None:
    token, record = _made()

    assert not verify(replace(record, secret_hash="é"), token.secret, now=0)
    assert not verify(replace(record, secret_hash=""), token.secret, now=0)


def test_a_record_can_be_made_in_a_shell() -> None:
    salt, secret = "00ff", "s" * 32
    record = KeyRecord(salt=salt, secret_hash=hashlib.sha256((salt + secret).encode()).hexdigest())

    assert verify(record, secret, now=0)


def test_nothing_printed_shows_a_secret() -> None:
    text, _, record = new_key(_source(b"\x07" * _ENTROPY), note="team a", expires_at=9)
    token = parse_token(text)

    assert token is not None
    assert token.secret not in repr(token) + repr(record)
    assert (record.note, record.expires_at) == ("team a", 9)


def test_keys_of_equal_secret_are_salted_apart() -> None:
    one, two = b"\x07" * _ENTROPY, b"\x07" * (_ENTROPY - 1) + b"\x08"

    assert _made(one)[0] == _made(two)[0]
    assert _made(one)[1].secret_hash != _made(two)[1].secret_hash
