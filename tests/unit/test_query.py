"""The query: what routing looks at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.chat import Image, Text, ToolResult, ToolUse, Turn, said
from regroup.domain.query import BUILDER_VERSION, MAX_CHARS, query_from_text, query_from_turns

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


QUESTION = "What is 12 times 7?"
VERSION_2 = [
    ([], ""),
    ([said("user", "first"), said("assistant", "answer"), said("user", "second")], "second"),
    ([said("user", QUESTION), said("assistant", "84. More?"), said("user", "yes")], QUESTION),
    ([said("user", QUESTION), said("assistant", "84."), said("user", "なぜ？")], "なぜ？"),
    ([said("user", QUESTION), said("assistant", "84"), said("user", "はい、続けて")], QUESTION),
    ([said("user", "続けて")], "続けて"),
    ([said("user", QUESTION), said("assistant", "The answer is")], QUESTION),
    (
        [
            said("user", QUESTION),
            Turn("assistant", (Text("I shall compute it."), ToolUse("1", "times", "[12, 7]"))),
            Turn("user", (ToolResult("1", (Text("84"),)),)),
        ],
        QUESTION,
    ),
    ([Turn("user", (Text("Wh"), Image("png", b"..."), Text("at is this?")))], "What is this?"),
    ([said("user", "cafe\u0301 in Paris")], "caf\u00e9 in Paris"),
]


@pytest.mark.parametrize(("turns", "text"), VERSION_2)
def test_the_query_of_a_conversation_is_the_last_question_that_stands_by_itself(
    turns: list[Turn], text: str
) -> None:
    assert query_from_turns(turns).text == text


def test_another_rule_has_another_version() -> None:
    # Published artifacts were made with the texts above: other texts need another number.
    assert BUILDER_VERSION == 2


@given(text, st.lists(st.sampled_from(["yes", "続けて", "2", "👍"]), max_size=4))
def test_a_single_prompt_is_the_query_it_was_in_training(prompt: str, more: list[str]) -> None:
    first = said("user", f"Translate this: {prompt}")
    turns = [first]
    for word in more:
        turns += [said("assistant", "Good day."), said("user", word)]
    assert query_from_turns(turns) == query_from_text(first.text)


def test_a_long_question_is_cut_like_a_prompt() -> None:
    question = said("user", "start" + "x" * 100_000 + "the question")
    assert query_from_turns([question, said("user", "go on")]) == query_from_text(question.text)


def test_another_artifact_has_another_cache_key() -> None:
    query = query_from_text("hello")
    assert query.digest("a" * 64) != query.digest("b" * 64)
