"""Names that Bedrock takes."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from regroup.aliases import aliases
from regroup.converse_turns import ID_ALPHABET, NAME_ALPHABET

legal = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
odd = st.sampled_from(["a", "a b", "a_b", "x" * 64, "x" * 65, "x" * 66, "日本" * 40, ""])
texts = st.lists(legal | odd | st.text(max_size=20), max_size=8)


@given(texts, st.sampled_from([NAME_ALPHABET, ID_ALPHABET]))
def test_every_text_gets_a_legal_name_of_its_own(given_texts: list[str], alphabet: str) -> None:
    named = aliases(given_texts, alphabet)

    assert len(named) == len(given_texts)
    assert len(set(named)) == len(named)
    assert all(re.fullmatch(f"[{alphabet}]{{1,64}}", name) for name in named)


@given(texts)
def test_a_legal_text_stays_as_it_is_the_first_time(given_texts: list[str]) -> None:
    first = dict(reversed([*zip(given_texts, aliases(given_texts, NAME_ALPHABET), strict=True)]))

    for text, name in first.items():
        assert (name == text) == bool(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", text))


@given(texts, texts)
def test_names_stay_the_same_while_a_conversation_grows(
    before: list[str], after: list[str]
) -> None:
    named = aliases([*before, *after], NAME_ALPHABET)

    assert named[: len(before)] == aliases(before, NAME_ALPHABET)


def test_an_alias_that_is_taken_gives_way() -> None:
    [alias] = aliases(["a b"], NAME_ALPHABET)

    other, kept = aliases(["a b", alias], NAME_ALPHABET)

    assert kept == alias
    assert other != alias
    assert other.startswith("a_b_")


def test_one_text_many_times_takes_no_long_time() -> None:
    started = time.process_time()

    assert len(set(aliases(["same"] * 5_000, NAME_ALPHABET))) == 5_000

    assert time.process_time() - started < 2
