"""What the router remembers of a conversation, and what leaving its model costs."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from regroup.domain.catalog import Candidate
from regroup.domain.chat import ChatRequest, Turn

_WORDS = frozenset(
    """
yes y yeah yep yup sure ok okay k right correct fine good great perfect exactly agreed
no n nope nah stop thanks thx ty please pls continue proceed next more again retry redo
go goahead goon keepgoing doit yesplease nothanks thankyou soundsgood looksgood lgtm
carryon tellmemore whynot whatelse andthen noproblem
はい うん ええ そう そうです そうですね いいえ いや 違う 違います ちがう
了解 了解です 了解しました わかった わかりました 分かった 分かりました
承知しました いいよ いいですよ いいね いいですね お願い お願いします おねがい
おねがいします 頼む 頼みます どうぞ 続けて 続けてください 続けて下さい つづけて
続き 続きを 続きは 続きをお願いします 続行 続行して 続行してください 進めて
進めてください 次 次へ 次は 次を もっと もう一度 もう一回 他には ほかには
それで それから で やって やってください やり直して ありがとう
ありがとうございます どうも オーケー オッケー
    """.split()  # noqa: SIM905 - a list of one hundred strings is unreadable
)
"""What agrees, declines or asks for more without saying of what; letters only, in lower case."""

_FEW_LETTERS = 2
"""`b)`, `2`, `続`: an answer to what the assistant offered."""


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
    """Tell whether a message says nothing by itself: "yes", "続けて", "continue", "2"."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    letters = "".join(letter for letter in plain if letter.isalnum() or letter == "ー")
    return len(letters) <= _FEW_LETTERS or letters in _WORDS


def last_question(turns: Sequence[Turn]) -> str:
    """Return the last thing the user said that stands by itself; else the last thing at all."""
    spoken = [turn.text for turn in turns if turn.role == "user" and turn.text.strip()]
    return next((text for text in reversed(spoken) if not is_bare(text)), "".join(spoken[-1:]))


def session_name(chat: ChatRequest, *, key_id: str | None, session_id: str | None) -> str:
    """Name a conversation: by the caller's own id, else by its head, and never across keys.

    The head is what every request of a conversation repeats: the system messages and the first
    thing the user said. Two conversations with one head share a memory, which does no harm.
    """
    if session_id is not None:
        head = ["id", session_id]
    else:
        first = next((turn.text for turn in chat.turns if turn.role == "user"), "")
        head = ["head", *chat.system, first]
    return sha256(json.dumps([key_id, *head]).encode()).hexdigest()
