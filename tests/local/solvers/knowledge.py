"""Solvers that know the same small tables as the prompts: that is what knowing means here."""

import re
from collections.abc import Iterable, Mapping

from tests.local.solvers.solution import Solution, first_group, language_of
from training.prompts.tables import CAPITALS, ELEMENTS, WORDS

_INTO_JAPANESE = dict(WORDS)
_INTO_ENGLISH = {japanese: english for english, japanese in WORDS}
_WORDS_ASKED = (
    r'(?:English word|What is|write|Japanese word|Which English word is) "(\w+)"',
    r"words(?: into Japanese kanji| into English), in this order: (.+?)\.",
    r"words, in (?:kanji|the singular), for (.+), in the same order",
    r"「(\w+)」(?:を日本語|を漢字|という英単語|を英語|は英語|に当たる)",
    r"訳してください。([^。]+)。",
    r"英単語([^。「」]+)を日本語に訳し、",
    r"(?:^|。)([^。「」]+)に当たる英単語を、",
)


def translation(text: str) -> Solution | None:
    if not re.search(r"Japanese|English words?|英単語|英語", text):
        return None
    shown = first_group(_WORDS_ASKED, text)
    if shown is None:
        return None
    words = re.split(r", | and |、", shown)
    table = _INTO_JAPANESE if words[0] in _INTO_JAPANESE else _INTO_ENGLISH
    return _looked_up("translation", text, words, table)


_CAPITALS = {country: capital for row in CAPITALS for country, capital in (row[:2], row[2:])}
_SYMBOLS = {name: symbol for *names, symbol, _ in ELEMENTS for name in names}
_NUMBERS = {name: str(number) for *names, _, number in ELEMENTS for name in names}


def _scanner(names: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile("|".join(rf"\b{n}\b" if n.isascii() else n for n in longest_first))


_COUNTRY, _ELEMENT = _scanner(_CAPITALS), _scanner(_SYMBOLS)


def capitals(text: str) -> Solution | None:
    if not re.search(r"capital|首都", text):
        return None
    asked = _COUNTRY.findall(text)
    if not asked:
        return None
    known = {name: city for name, city in _CAPITALS.items() if name.isascii() == asked[0].isascii()}
    return _looked_up("capitals", text, asked, known)


def elements(text: str) -> Solution | None:
    if not re.search(r"chemi|symbol|atomic number|protons|元素記号|原子", text):
        return None
    asked = _ELEMENT.findall(text)
    if not asked:
        return None
    counted = re.search(r"atomic number|protons|原子", text)
    return _looked_up("elements", text, asked, _NUMBERS if counted else _SYMBOLS)


def _looked_up(category: str, text: str, asked: list[str], table: Mapping[str, str]) -> Solution:
    answer = [table[name] for name in asked]
    rivals = tuple(dict.fromkeys(value for value in table.values() if value not in answer))
    return Solution(category, language_of(text), len(asked), ", ".join(answer), rivals)
