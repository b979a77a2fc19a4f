"""The text that routing looks at, built by one versioned rule in training and in serving."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from regroup.domain.chat import Turn
from regroup.domain.conversation import last_question

BUILDER_VERSION = 2
"""Changes whenever the same request would give another text: artifacts name the one they need."""

MAX_CHARS = 8_000
_HEAD_CHARS = 6_000
_GAP = "\n…\n"


@dataclass(frozen=True, slots=True)
class Query:
    """What is embedded, cached and sampled; never more than `MAX_CHARS` characters."""

    text: str

    def digest(self, artifact_digest: str) -> str:
        """Name the prediction of this query by that artifact: the cache's key."""
        return sha256(f"{artifact_digest}\n{self.text}".encode()).hexdigest()


def query_from_text(text: str) -> Query:
    """Build the query of a single prompt: NFC, then head and tail.

    Raises:
        UnicodeEncodeError: `text` holds a lone surrogate, which no encoder or store accepts.
    """
    text.encode()
    text = unicodedata.normalize("NFC", text)
    if len(text) > MAX_CHARS:
        tail_chars = MAX_CHARS - _HEAD_CHARS - len(_GAP)
        text = text[:_HEAD_CHARS] + _GAP + text[-tail_chars:]
    return Query(text)


def query_from_turns(turns: Sequence[Turn]) -> Query:
    """Build the query of a conversation: the last thing the user said that stands by itself.

    So "yes" and the turns of a tool loop are routed by the question they belong to.
    """
    return query_from_text(last_question(turns))
