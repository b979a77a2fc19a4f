"""What is remembered of a conversation, and which of its messages says what it is about."""

import unicodedata
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regroup.domain.catalog import Capabilities, PromptCache
from regroup.domain.chat import ChatRequest, Image, ToolResult, ToolUse, Turn, said
from regroup.domain.conversation import Session, is_bare, last_question, session_name
from tests.local.world import small_catalog

# Messages that say nothing by themselves

BARE = """
yes | Yes. | YES!! | y | yeah | yep | ok | OK, thanks | O.K. | okay, do it | sure | right
all right | no | No, thanks. | nope | not really | never mind | stop | continue | Continue...
go on | Go ahead! | keep going | next | more | one more please | tell me more | again | try again
do it again | redo | why not | what else? | and then? | thank you | Thank you very much!
thanks a lot | thx | ty | lgtm | sounds good! | looks good to me | that works | it's fine
that’s right | no problem | yes yes yes | yes, please continue | both | all of them | neither
hello | Hi! | k | n | 2 | b | b) | (B) | B. | #3 | option 2 | Option B please | the second one
the first | number 3 | 1, 3 | 1200 | 42. | 3.5 | -5 | 50% | $5 | 10 km | 7pm | 12:30 | ① | Ⅱ
１ | ２） | Ｂ | はい | はい。 | はーい | は〜い | はいはい | はい、お願いします！ | うん | うーん
ええ | そう | そうです | そうですね | そうそう | いいえ | いいえ、大丈夫です | いや | 違います
ＯＫ | ｏｋです | オーケー | ｵｰｹｰ | オッケー | 了解 | 了解です | 了解しました | わかりました
承知しました | 承知いたしました | お願いします | お願い致します | 続けて | 続けてください
続けて下さい。 | 続 | 続き | 続きは？ | 続きをお願いします | 続行してください | 進めてください
次 | 次へ | 次は？ | もっと | もっと詳しく | もっと詳しく教えてください | もう一度
もう一度お願いします | 他には？ | それで？ | で？ | え？ | 何？ | やって | やり直して | ありがとう
ありがとうございます | ありがとうございました！ | なるほど | いいですね | こんにちは | 1番
2番でお願いします | Aでお願いします | Ａ案で | 3つ目 | 3つ | 5月 | 2026年 | 両方
どちらでもいいです | 👍 | 👍🏽 | 🙏🙏 | ok 👍 | はい😀 | 2️⃣ | ... | ？ | !! | 。 | ー
"""  # noqa: RUF001 - full-width on purpose

SAYS_SOMETHING = """
why? | How? | who | cat | help | hello world | translate | summarize | in French
yes, but in Python | no, use Rust | why not Rust? | tell me more about cats | more examples
what else is new? | second law of thermodynamics | first law | stop words | go routines
good restaurants in Tokyo | next.js | H2O | x86 | k8s | GPT4 | and now in C | yes, ai | c or r
1200 + 7 | 1+1 | 2*3=? | 7 x 8? | 12x4 | $5 + $3? | 5*(-3) | √144 | 12 ** 2 | Goとは？ | 5Gとは?
1, 1, 2, 3, 5, 8? | 2, 4, 8, 16, ?
7-2 | 8÷2 | 9 − 4 | 3/4 | ７×８ | １＋１ | 2026-11-24 | なぜ | なぜ？
なんで | どうして？ | いつ | どこ | 日本 | 東京 | 数学 | はと | なに | 猫と犬 | フランス語で
英語にして | もっと短く | はい、でもPythonで | 続きの駅は？ | 次の駅は | 次は東京 | 次は猫
次の問題を解いて | ありがとうは英語で何 | 東京の天気は。 | いい店 | お金 | ﾅｾﾞ | ＡＩとは | 日本👍
😀は何の顔？
"""  # noqa: RUF001 - full-width on purpose


def messages(block: str) -> list[str]:
    return [message.strip() for line in block.strip().splitlines() for message in line.split("|")]


@pytest.mark.parametrize("text", messages(BARE))
def test_a_message_that_says_nothing_by_itself_is_bare(text: str) -> None:
    assert is_bare(text)


@pytest.mark.parametrize("text", messages(SAYS_SOMETHING))
def test_a_message_that_stands_by_itself_is_not_bare(text: str) -> None:
    assert not is_bare(text)


short_bare = st.sampled_from([text for text in messages(BARE) if len(text) < 20])


@given(
    short_bare,
    st.text(" \t\n\u3000", max_size=400),
    st.text("!?.,。、！？…~👍😀🙏 ", max_size=20),
)
def test_space_and_marks_around_a_bare_message_leave_it_bare(
    text: str, space: str, marks: str
) -> None:
    assert is_bare(f"{space}{text}{marks}{space}")


@given(st.text(max_size=200))
def test_a_message_without_a_letter_or_digit_is_bare(text: str) -> None:
    plain = unicodedata.normalize("NFKC", text).casefold()  # which makes letters of some signs
    assert is_bare("".join(letter for letter in plain if not letter.isalnum())[:100])


@given(st.sampled_from(messages(SAYS_SOMETHING)), short_bare)
def test_what_stands_by_itself_does_so_after_a_bare_message(text: str, bare: str) -> None:
    assert not is_bare(f"{bare}. {text}")


@given(st.text(st.characters(), max_size=300))
def test_any_text_is_bare_or_not(text: str) -> None:
    assert is_bare(text) in (True, False)


def test_a_long_message_is_never_bare() -> None:
    assert not is_bare("yes " * 100)
    assert not is_bare("続けて" * 2_000_000)


# What a conversation is about


def talk(*texts: str) -> list[Turn]:
    """Return turns of the user, each answered."""
    return [turn for text in texts for turn in (said("user", text), said("assistant", "Good day."))]


@pytest.mark.parametrize(
    ("turns", "question"),
    [
        (talk("What is 12 times 7?"), "What is 12 times 7?"),
        (talk("What is 12 times 7?", "yes"), "What is 12 times 7?"),
        (talk("東京の天気は。", "はい", "続けて"), "東京の天気は。"),
        (talk("first question", "yes", "second question", "go on"), "second question"),
        (talk("yes", "continue"), "continue"),
        (talk("yes"), "yes"),
        (talk("first question", "   "), "first question"),
        ([said("assistant", "How can I help?"), said("user", "a question")], "a question"),
        ([said("assistant", "a question of its own")], ""),
        ([], ""),
        (
            [
                *talk("What is the weather?"),
                Turn("assistant", (ToolUse("1", "weather", "{}"),)),
                Turn("user", (ToolResult("1", ()),)),
            ],
            "What is the weather?",
        ),
        ([*talk("What is this?"), Turn("user", (Image("png", b""),))], "What is this?"),
    ],
)
def test_the_question_is_what_the_user_said_last_that_stands_by_itself(
    turns: list[Turn], question: str
) -> None:
    assert last_question(turns) == question


@given(st.lists(st.text(max_size=20)))
def test_the_question_is_said_by_the_user_or_nobody_said_anything(texts: list[str]) -> None:
    question = last_question(talk(*texts))
    assert question in texts or (question == "" and not any(text.strip() for text in texts))


@given(st.lists(st.text(max_size=20), min_size=1), st.lists(short_bare))
def test_bare_messages_do_not_change_the_question(texts: list[str], bare: list[str]) -> None:
    assume(any(not is_bare(text) for text in texts))
    assert last_question(talk(*texts, *bare)) == last_question(talk(*texts))


# Names of conversations

HELLO = ChatRequest((said("user", "hello"),))

keys = st.none() | st.text(max_size=3)
chats = st.builds(
    lambda texts, system: ChatRequest(tuple(talk(*texts)), tuple(system)),
    st.lists(st.text(max_size=3), min_size=1, max_size=3),
    st.lists(st.text(max_size=3), max_size=2),
)


@given(chats, keys, st.none() | st.text(max_size=3), st.lists(st.text(max_size=3)))
def test_a_conversation_keeps_its_name_as_it_grows(
    chat: ChatRequest, key_id: str | None, session_id: str | None, more: list[str]
) -> None:
    grown = replace(chat, turns=(*chat.turns, *talk(*more)), temperature=0.5, max_tokens=7)
    name = session_name(chat, key_id=key_id, session_id=session_id)
    assert session_name(grown, key_id=key_id, session_id=session_id) == name


@given(chats, chats, keys, keys, st.none() | st.text(max_size=3), st.none() | st.text(max_size=3))
def test_no_name_is_shared_across_keys(
    one: ChatRequest,
    other: ChatRequest,
    key: str | None,
    another_key: str | None,
    session_id: str | None,
    another_id: str | None,
) -> None:
    assume(key != another_key)
    assert session_name(one, key_id=key, session_id=session_id) != session_name(
        other, key_id=another_key, session_id=another_id
    )


@pytest.mark.parametrize(
    ("one", "other"),
    list(
        combinations(
            [
                session_name(HELLO, key_id=None, session_id=None),
                session_name(HELLO, key_id="None", session_id=None),
                session_name(HELLO, key_id="key", session_id=None),
                session_name(HELLO, key_id="key", session_id="hello"),
                session_name(HELLO, key_id="key", session_id=""),
                session_name(HELLO, key_id="key", session_id="héllo"),
                session_name(ChatRequest((said("user", "hell"),)), key_id="key", session_id=None),
                session_name(replace(HELLO, system=("a",)), key_id="key", session_id=None),
                session_name(replace(HELLO, system=("a", "b")), key_id="key", session_id=None),
                session_name(replace(HELLO, system=("ab",)), key_id="key", session_id=None),
                session_name(
                    ChatRequest((said("user", "a"),), ("hello",)), key_id="key", session_id=None
                ),
            ],
            2,
        )
    ),
)
def test_what_makes_another_conversation_makes_another_name(one: str, other: str) -> None:
    assert one != other


def test_the_callers_own_name_holds_whatever_is_said() -> None:
    other = ChatRequest((said("user", "something else"),), ("a system",))
    assert session_name(HELLO, key_id="key", session_id="my chat") == session_name(
        other, key_id="key", session_id="my chat"
    )


def test_a_name_is_a_digest_that_shows_no_text() -> None:
    name = session_name(HELLO, key_id="key", session_id=None)
    assert len(name) == 64
    assert set(name) <= set("0123456789abcdef")


# The prompt cache

CACHING = replace(
    small_catalog().candidates["small"],
    capabilities=Capabilities(prompt_cache=PromptCache(min_tokens=1_024, ttl_seconds=300)),
)
SESSION = Session("small", at=1_000.0, cached_tokens=5_000)


@pytest.mark.parametrize(
    ("later_seconds", "tokens"), [(0, 5_000), (299.9, 5_000), (300, 0), (90_000, 0), (-5, 5_000)]
)
def test_cached_tokens_are_warm_until_the_cache_expires(later_seconds: float, tokens: int) -> None:
    assert SESSION.warm_tokens(CACHING, SESSION.at + later_seconds) == tokens


def test_nothing_is_warm_for_another_candidate() -> None:
    assert SESSION.warm_tokens(replace(CACHING, name="medium"), SESSION.at) == 0


def test_nothing_is_warm_where_a_candidate_caches_nothing() -> None:
    assert SESSION.warm_tokens(small_catalog().candidates["small"], SESSION.at) == 0


def test_nothing_is_warm_before_anything_was_cached() -> None:
    assert Session("small", at=1_000.0).warm_tokens(CACHING, 1_000.0) == 0
