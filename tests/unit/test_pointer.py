"""The pointer: written and read back, moved by one rule, and refused where it is not sound."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.pointer import Mode, Pointer, read_pointer
from regroup.errors import ArtifactCorruptError

A, B, C = "a" * 64, "b" * 64, "c" * 64

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
pointers = st.builds(
    Pointer,
    champion=digests,
    challenger=st.none() | digests,
    share=st.floats(0.0, 1.0),
    mode=st.sampled_from(get_args(Mode.__value__)),
    previous=st.none() | digests,
    who=st.text(),
    why=st.text(),
)


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
