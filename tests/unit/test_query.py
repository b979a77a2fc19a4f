"""The query: what routing looks at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.chat import said
from regroup.domain.query import MAX_CHARS, query_from_text, query_from_turns

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


def test_equivalent_texts_share_a_query_and_so_a_cache_entry() -> None:
    composed, decomposed = "caf\u00e9 が", "cafe\u0301 か\u3099"
    assert query_from_text(composed) == query_from_text(decomposed)


def test_a_long_text_keeps_its_head_and_its_tail() -> None:
    query = query_from_text("start" + "x" * 1_000_000 + "the question")
    assert len(query.text) == MAX_CHARS
    assert query.text.startswith("start")
    assert query.text.endswith("the question")


@given(text)
def test_building_a_query_twice_changes_nothing(prompt: str) -> None:
    once = query_from_text(prompt)
    assert len(once.text) <= MAX_CHARS
    assert query_from_text(once.text) == once


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        query_from_text("half \ud83d of a pair")


def test_the_query_of_a_conversation_is_what_the_user_asked_last() -> None:
    turns = [said("user", "first"), said("assistant", "answer"), said("user", "second")]
    assert query_from_turns(turns).text == "second"


def test_another_artifact_has_another_cache_key() -> None:
    query = query_from_text("hello")
    assert query.digest("a" * 64) != query.digest("b" * 64)
