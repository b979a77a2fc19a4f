"""The pointer: written and read back, moved by one rule, and refused where it is not sound."""

import json
from math import inf, nan
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regroup.domain.pointer import Mode, Pointer, read_pointer
from regroup.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    DataError,
    ReleaseRefusedError,
)

A, B, C = "a" * 64, "b" * 64, "c" * 64

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
facts: dict[str, Any] = {
    "champion": digests,
    "share": st.floats(0.0, 1.0),
    "previous": st.none() | digests,
    "who": st.text(),
    "why": st.text(),
}
challenged = st.builds(
    Pointer, challenger=digests, mode=st.sampled_from(["off", "shadow", "canary"]), **facts
)
pointers = challenged | st.builds(Pointer, **facts)


@given(pointers)
def test_a_pointer_is_read_back_as_it_was_written(pointer: Pointer) -> None:
    assert read_pointer(pointer.to_bytes()) == pointer


@given(pointers, digests)
def test_a_promotion_ends_the_challenge_and_says_who_and_why(pointer: Pointer, new: str) -> None:
    after = pointer.promote(new, who="ann", why="a better one")
    assert (after.champion, after.who, after.why) == (new, "ann", "a better one")
    assert (after.challenger, after.share, after.mode) == (None, 0.0, "off")
    assert read_pointer(after.to_bytes()) == after


@pytest.mark.parametrize(
    ("champion", "previous", "promoted", "previous_after"),
    [
        (A, None, B, A),
        (A, C, B, A),
        (A, None, A, None),
        (A, C, A, C),  # published twice: what a rollback goes back to is kept
        (A, B, B, A),  # a rollback can itself be taken back
    ],
)
def test_previous_is_the_champion_that_was_another(
    champion: str, previous: str | None, promoted: str, previous_after: str | None
) -> None:
    after = Pointer(champion, previous=previous).promote(promoted, who="", why="")
    assert (after.champion, after.previous) == (promoted, previous_after)


@given(pointers, digests, st.floats(0.0, 1.0, exclude_min=True))
def test_a_challenge_leaves_what_is_live_and_where_to_roll_back_to(
    pointer: Pointer, new: str, share: float
) -> None:
    assume(new != pointer.champion)
    after = pointer.challenge(new, mode="canary", share=share, who="ann", why="try it")
    assert (after.champion, after.previous) == (pointer.champion, pointer.previous)
    assert (after.challenger, after.mode, after.share) == (new, "canary", share)
    assert (after.who, after.why) == ("ann", "try it")
    assert read_pointer(after.to_bytes()) == after


def test_a_shadow_decides_nothing() -> None:
    after = Pointer(A).challenge(B, mode="shadow", share=0.0, who="ann", why="look at it")
    assert after == Pointer(A, B, mode="shadow", who="ann", why="look at it")


def test_a_new_challenger_takes_the_place_of_the_old_one() -> None:
    before = Pointer(A, B, share=0.5, mode="canary", previous=C)
    after = before.challenge(C, mode="shadow", share=0.0, who="", why="")
    assert after == Pointer(A, C, mode="shadow", previous=C)


@pytest.mark.parametrize(
    ("mode", "share", "complaint"),
    [
        ("canary", 0.0, "the share is 0.0: a canary's is above 0 and at most 1"),
        ("canary", -0.1, "the share is -0.1"),
        ("canary", 1.0000001, "the share is 1.0000001"),
        ("canary", nan, "the share is nan"),
        ("canary", inf, "the share is inf"),
        ("shadow", 0.1, "the share is 0.1: a shadow decides nothing"),
        ("shadow", nan, "the share is nan"),
        ("off", 0.0, "the mode is 'off': a challenger's is shadow or canary"),
        ("off", 0.5, "the mode is 'off'"),
        ("Canary", 0.5, "the mode is 'Canary'"),
        ("", 0.0, "the mode is ''"),
    ],
)
def test_a_challenge_of_no_such_mode_or_share_is_refused(
    mode: str, share: float, complaint: str
) -> None:
    how: dict[str, Any] = {"mode": mode, "share": share}
    with pytest.raises(DataError, match=complaint):
        Pointer(A).challenge(B, who="", why="", **how)


@pytest.mark.parametrize(("mode", "share"), [("shadow", 0.0), ("canary", 0.5)])
def test_the_champion_cannot_challenge_itself(mode: Mode, share: float) -> None:
    with pytest.raises(ReleaseRefusedError, match=f"{A} is the champion"):
        Pointer(A, B, mode="shadow").challenge(A, mode=mode, share=share, who="", why="")


@given(challenged)
def test_a_withdrawal_takes_the_challenger_and_nothing_else(pointer: Pointer) -> None:
    after = pointer.withdraw(who="ann", why="too slow")
    assert after == Pointer(pointer.champion, previous=pointer.previous, who="ann", why="too slow")
    assert read_pointer(after.to_bytes()) == after


def test_a_challenger_that_is_not_there_cannot_be_withdrawn() -> None:
    with pytest.raises(ArtifactNotFoundError, match="no challenger"):
        Pointer(A, previous=B).withdraw(who="", why="")


@given(challenged)
def test_rolled_back_twice_the_same_champion_is_live(pointer: Pointer) -> None:
    before = Pointer(pointer.champion, pointer.challenger, previous=C)
    once = before.rollback(who="ann", why="it broke")
    assert once == Pointer(C, previous=pointer.champion, who="ann", why="it broke")
    twice = once.rollback(who="bob", why="it was not that")
    assert twice == Pointer(pointer.champion, previous=C, who="bob", why="it was not that")


@pytest.mark.parametrize("previous", [None, A])
def test_without_a_champion_before_there_is_nothing_to_roll_back_to(previous: str | None) -> None:
    with pytest.raises(ArtifactNotFoundError, match="no champion before"):
        Pointer(A, B, mode="shadow", previous=previous).rollback(who="", why="")


def test_fields_of_later_versions_are_ignored() -> None:
    fields = json.loads(Pointer(A).to_bytes()) | {"mood": "sunny"}
    assert read_pointer(json.dumps(fields).encode()) == Pointer(A)


def test_a_champion_alone_is_a_pointer() -> None:
    assert read_pointer(json.dumps({"champion": A}).encode()) == Pointer(A)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"null",
        b"7",
        b"[]",
        b'"champion"',
        b'["champion"]',
        b"{}",
        b"[" * 100_000,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_bytes_that_are_no_pointer_are_refused(content: bytes) -> None:
    with pytest.raises(ArtifactCorruptError, match=r"pointer\.json"):
        read_pointer(content)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("champion", None),
        ("champion", 7),
        ("champion", A[:-1]),
        ("champion", A.upper()),
        ("champion", "../" + A[3:]),
        ("challenger", "latest"),
        ("challenger", ""),
        ("share", -0.1),
        ("share", 1.1),
        ("share", float("nan")),
        ("share", "half"),
        ("share", None),
        ("mode", "on"),
        ("mode", "shadow"),  # of no challenger
        ("mode", "canary"),
        ("mode", None),
        ("mode", ["off"]),
        ("schema", 2),
        ("schema", "1"),
        ("schema", None),
    ],
)
def test_a_pointer_with_an_unsound_field_is_refused(field: str, value: object) -> None:
    fields = json.loads(Pointer(A).to_bytes()) | {field: value}
    with pytest.raises(ArtifactCorruptError, match=r"pointer\.json"):
        read_pointer(json.dumps(fields).encode())


@given(st.binary(max_size=200))
def test_random_bytes_are_no_pointer(content: bytes) -> None:
    with pytest.raises(ArtifactCorruptError):
        read_pointer(content)
