"""What a solver makes of a prompt's text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from training.prompts import Language

# Every Japanese prompt ends a sentence with it; no English one does, even when it quotes Japanese.
_JAPANESE = "。"


@dataclass(frozen=True, slots=True)
class Solution:
    """The answer, and what an honest mistake could have been instead."""

    category: str
    language: Language
    difficulty: int
    answer: str
    rivals: tuple[str, ...] = ()
    """Plausible wrong items: other names, capitals, facts of the message."""


def language_of(text: str) -> Language:
    """Tell the language that the prompt speaks, whatever it quotes."""
    return "ja" if _JAPANESE in text else "en"


def first_group(patterns: Iterable[str], text: str) -> str | None:
    """Return the first group of the first pattern that is found."""
    for pattern in patterns:
        if found := re.search(pattern, text):
            return found[1]
    return None
