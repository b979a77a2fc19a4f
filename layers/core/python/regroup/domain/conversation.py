"""What the router remembers of a conversation, and what leaving its model costs."""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from regroup.domain.catalog import Candidate
from regroup.domain.chat import ChatRequest, Turn

_ENGLISH = """
yes|y|yeah|yep|yup|sure|of course|ok|okay|k|right|alright|all right|correct|fine|good|great|perfect
|exactly|agreed|i agree|absolutely|definitely|no|n|nope|nah|stop|cancel|never mind|not really|thanks
|thx|ty|thank you|cheers|please|pls|continue|proceed|next|more|again|retry|try again|redo|repeat
|go|go ahead|go on|go to|move on|keep going|carry on|tell me more|show me more|one more|once more
|do it|do that|do so|why not|what else|anything else|and then|and|then|so|no problem|sounds good
|looks good|looks good to me|that works|thats|its|got it|i see|lgtm|both|all|all of them|either
|neither|none|any|the|one|first|second|third|last|former|latter|option|choice|number|step|oh|ah|hmm
|uh|um|well|nice|cool|awesome|wow|very|much|so much|a lot|hi|hello|hey|bye
"""
_JAPANESE = """
はい|うん|ええ|そう|そのとおり|その通り|いいえ|いや|いえ|ううん|違う|違います|ちがう|ちがいます
|了解|承知|わかった|わかりました|分かった|分かりました|しました|いたしました|いい|良い|よい|よし
|大丈夫|問題ない|問題ありません|お願い|おねがい|頼む|頼みます|します|いたします|致します|どうぞ
|続けて|つづけて|続き|つづき|続行|進めて|すすめて|して|下さい|ください|くれ|もらえますか
|次|つぎ|もっと|もう一度|もういちど|もう一回|もう一つ|もうひとつ|他に|ほかに|他には|ほかには
|それで|それから|そして|では|じゃあ|それ|これ|あれ|やって|やり直して|やめて|中止|教えて|おしえて
|詳しく|くわしく|具体的に|説明して|ありがとう|ありがと|ございます|ございました|どうも|すみません
|オーケー|オッケー|なるほど|さすが|すごい|おはよう|こんにちは|こんばんは
|案|番目|番|つ目|つめ|個目|の方|のほう|両方|全部|最初|最後|どれでも|どちらでも
"""
"""What agrees, declines, chooses or asks for more without saying of what; parted by `|`."""

_ENDINGS = "です|でした|ます|だ|ね|よ|な|は|を|で|が|に|の|も|と|へ|か"
"""What follows such a word without a space, or the letter or number of a choice."""


def _alternatives(words: str) -> str:
    """Return a pattern of words parted by `|`, the longest first, written as `_words` writes."""
    return "|".join(sorted(map(_words, words.split("|")), key=len, reverse=True))


def _words(text: str) -> str:
    """Return the words of a text in one way of writing, with a space between them.

    An apostrophe parts no word, and a drawn-out vowel (はーい, は〜い) makes no other one.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORD.findall(_WITHIN_WORDS.sub("", plain)))


_WORD = re.compile(r"[^\W_]+")
_WITHIN_WORDS = re.compile(r"['~\u2019\u30fc\u301c]")
_SAYS_NOTHING = re.compile(
    rf"(?:(?<![a-z0-9])(?:{_alternatives(_ENGLISH)})(?![a-z0-9])|{_alternatives(_JAPANESE)}"
    rf"|(?<=[a-z0-9]))(?:{_alternatives(_JAPANESE)}|{_ENDINGS})*"
)
_QUESTION = re.compile(
    # Numbers with something to compute between them, a root, a row to continue.
    r"\d[^\w,;\u3001\n]*(?:[-+*/^=<>%\u00d7\u00f7\u2212]|x(?=\W*\d))[^\w,;\u3001\n]*\d"
    r"|\u221a\W*\d|(?:\d+\D+){3}\d"
    # "Goとは?"
    r"|\w\u3068\u306f\W*$",
    re.IGNORECASE,
)
"""Few letters or numbers that are no answer but a question."""

_MOST_CHARS = 200
"""Whoever writes more says something."""
_FEW_LETTERS = 2
"""`b)`, `2`, `10 km`, `続`: an answer to what the assistant offered."""


@dataclass(frozen=True, slots=True)
class Session:
    """The last answer of a conversation."""

    model: str
    at: float
    """When it was given, in seconds since 1970."""
    cached_tokens: int = 0
    """How much of the conversation lies in that model's prompt cache, as it counted."""
    turns: int = 1
    """How many answers the conversation has had."""

    def warm_tokens(self, candidate: Candidate, now: float) -> int:
        """Return how many tokens `candidate` can still read from its prompt cache."""
        cache = candidate.capabilities.prompt_cache
        if candidate.name != self.model or cache is None or now - self.at >= cache.ttl_seconds:
            return 0
        return self.cached_tokens


def is_bare(text: str) -> bool:
    """Tell whether a message says nothing by itself: "yes", "はい、続けて", "continue", "2"."""
    text = text.strip()
    if len(text) > _MOST_CHARS or _QUESTION.search(unicodedata.normalize("NFKC", text)):
        return False
    words = _words(text)
    return _weight(words) <= _FEW_LETTERS or _weight(_SAYS_NOTHING.sub("", words)) <= 1


def _weight(words: str) -> int:
    """Count letters, those of scripts that need few twice; a number in front counts nothing."""
    letters = words.replace(" ", "").lstrip("0123456789")
    return sum(2 if unicodedata.east_asian_width(letter) == "W" else 1 for letter in letters)


def last_question(turns: Sequence[Turn]) -> str:
    """Return the last thing the user said that stands by itself; else the last thing at all."""
    spoken = [turn.text for turn in turns if turn.role == "user" and turn.text.strip()]
    return next((text for text in reversed(spoken) if not is_bare(text)), "".join(spoken[-1:]))


def session_name(chat: ChatRequest, *, key_id: str | None, session_id: str | None) -> str:
    """Name a conversation: by the caller's own id, else by its head, and never across keys.

    The head is what every request of a conversation repeats: the system messages and the first
    thing the user said. Two conversations of a key with one head share a memory.
    """
    if session_id is not None:
        head = ["id", session_id]
    else:
        first = next((turn.text for turn in chat.turns if turn.role == "user"), "")
        head = ["head", *chat.system, first]
    return sha256(json.dumps([key_id, *head]).encode()).hexdigest()
