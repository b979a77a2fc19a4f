"""Decide whether an answer is right, without a model: exact match after harmless differences."""

import json
import re
import unicodedata
from decimal import Decimal

_QUOTES = "\"'`*\u201c\u201d\u2018\u2019\u300c\u300d\u300e\u300f"  # and Markdown's bold
_STOPS = ".\u3002"
_LABEL = re.compile(r"(?:answer|答え)\s*:")
_FENCE = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)
_COMMA = re.compile(r"\s*[,\u3001]\s*")
_NUMBER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?", re.ASCII)


def is_correct(prompt_answer: str, given: str) -> bool:
    """Tell whether `given` is the answer, whatever its case, width, quotes or full stop.

    Both are brought to NFKC, trimmed and case-folded; surrounding quotes, backticks, a full stop
    and a leading "Answer:" go. Numbers are compared as numbers, with or without thousands
    separators; lists whatever the spaces around their commas; JSON as JSON.
    """
    wanted_json = _json(prompt_answer)
    if wanted_json is not None:
        return wanted_json == _json(given)
    wanted, found = _bare(prompt_answer), _bare(given)
    wanted_number, found_number = _number(wanted), _number(found)
    if wanted_number is not None and found_number is not None:
        return wanted_number == found_number
    return _COMMA.sub(",", wanted) == _COMMA.sub(",", found)


def _bare(text: str) -> str:
    """Peel off what may surround an answer until nothing more comes off."""
    text = _fold(text)
    while True:
        peeled = text.strip().lstrip(_QUOTES).rstrip(_QUOTES + _STOPS)
        if label := _LABEL.match(peeled):
            peeled = peeled[label.end() :]
        if peeled == text:
            return text
        text = peeled


def _fold(text: str) -> str:
    """Case-fold under NFKC; one round is not enough for a few letters, two always are."""
    for _ in range(2):
        text = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", text).replace("\u2212", "-")


def _number(text: str) -> Decimal | None:
    return Decimal(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


def _json(text: str) -> str | None:
    """Return an object in one canonical form; anything else is not compared as JSON."""
    text = text.strip()
    if fence := _FENCE.fullmatch(text):
        text = fence[1]
    text = text.strip("` \n")
    if not text.startswith("{"):
        return None
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return None
