"""Text that others wrote, made safe to place: no control characters, a known width."""

import re
import unicodedata
from html import escape

# What XML cannot hold, halves of characters, and marks that turn the reading direction of what
# follows them: a name must not rewrite its neighbours.
_UNFIT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
    "\ufffe\uffff]"
)


def clean(text: str) -> str:
    """Return the text with a replacement character for each that a page cannot hold."""
    return _UNFIT.sub("\ufffd", text)


def html(text: str) -> str:
    """Return the text as it is written into HTML, between tags or in a quoted attribute."""
    return escape(clean(text))


def columns(text: str) -> int:
    """Return how many half-width columns the text takes; a full-width character takes two."""
    return sum(_columns_of(character) for character in text)


def shorten(text: str, most: int) -> str:
    """Return the text in one line, cut with an ellipsis to at most so many columns."""
    line = " ".join(clean(text).split())
    if columns(line) <= most:
        return line
    kept, room = "", most - 1
    for character in line:
        room -= _columns_of(character)
        if room < 0:
            break
        kept += character
    return kept.rstrip() + "…"


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
