"""Solvers of sums, sequences, Roman numerals and number bases."""

import math
import re
import unicodedata
from itertools import pairwise

from tests.local.solvers.solution import Solution, first_group, language_of

_SPOKEN = {
    " plus ": "+", " minus ": "-", " times ": "*", "足す": "+", "引く": "-", "掛ける": "*",
    "\u00d7": "*", "\u2212": "-",
}  # fmt: skip
_SUM_CUE = re.compile(r"What is \d|Calculate|expression|compute|計算|式の値|はいくつですか")


def arithmetic(text: str) -> Solution | None:
    if not _SUM_CUE.search(text):
        return None
    plain = unicodedata.normalize("NFKC", text)
    for word, sign in _SPOKEN.items():
        plain = plain.replace(word, sign)
    found = re.search(r"\d+(?:\s*[-+*]\s*\d+)+", plain)
    if found is None:
        return None
    terms = re.findall(r"[-+]?[\d*]+", found[0].replace(" ", ""))
    total = sum(_term(term) for term in terms)
    operations = len(re.findall(r"\d+", found[0])) - 1
    return Solution("arithmetic", language_of(text), operations, str(total))


def _term(term: str) -> int:
    size = math.prod(int(factor) for factor in term.lstrip("+-").split("*"))
    return -size if term.startswith("-") else size


def sequence(text: str) -> Solution | None:
    found = re.search(r"-?\d+(?:, -?\d+){4,5}", text)
    if found is None or not re.search(r"sequence|pattern|what number follows|数列|規則", text):
        return None
    terms = [int(term) for term in found[0].split(", ")]
    difficulty, following = _continue(terms)
    return Solution("sequence", language_of(text), difficulty, str(following))


def _continue(terms: list[int]) -> tuple[int, int]:
    """Try the rules from the simplest to the hardest."""
    steps = [b - a for a, b in pairwise(terms)]
    if len(set(steps)) == 1:
        return (1 if steps[0] > 0 else 2), terms[-1] + steps[0]
    if len({b / a for a, b in pairwise(terms)}) == 1:
        return 3, terms[-1] * terms[1] // terms[0]
    rises = {b - a for a, b in pairwise(steps)}
    if len(rises) == 1:
        return 4, terms[-1] + steps[-1] + rises.pop()
    assert all(a + b == c for a, b, c in zip(terms, terms[1:], terms[2:], strict=False))
    return 5, terms[-2] + terms[-1]


_LETTERS = dict(zip("IVXLCDM", (1, 5, 10, 50, 100, 500, 1000), strict=True))
_PLACES = ("IVX", "XLC", "CDM", "M??")
_DIGITS = ("", "0", "00", "000", "01", "1", "10", "100", "1000", "02")


def roman(text: str) -> Solution | None:
    if "Roman numeral" not in text and "ローマ数字" not in text:
        return None
    numeral = re.search(r"(?<![A-Za-z])[IVXLCDM]+(?![A-Za-z])", text)
    if numeral:
        answer = str(value := _from_roman(numeral[0]))
    else:
        number = first_group([r"(\d+)"], text)
        if number is None:
            return None
        value = int(number)
        answer = _to_roman(number)
    difficulty = 1 + sum(value >= low for low in (40, 100, 400, 1000))
    return Solution("roman", language_of(text), difficulty, answer)


def _from_roman(numeral: str) -> int:
    values = [_LETTERS[letter] for letter in numeral]
    return sum(
        -here if here < following else here
        for here, following in zip(values, [*values[1:], 0], strict=True)
    )


def _to_roman(number: str) -> str:
    """Spell each decimal place with its own three letters."""
    spelled = ""
    for place, digit in zip(reversed(_PLACES[: len(number)]), number, strict=True):
        spelled += "".join(place[int(which)] for which in _DIGITS[int(digit)])
    return spelled


_BASES = {"binary": 2, "octal": 8, "hexadecimal": 16, "2進数": 2, "8進数": 8, "16進数": 16}
_DIGIT_CHARS = "0123456789abcdef"


def bases(text: str) -> Solution | None:
    names = re.findall(r"hexadecimal|decimal|binary|octal|16進数|10進数|2進数|8進数", text)
    digits = first_group(
        [
            r"(?:number|Convert|decimal|binary|octal) ([0-9a-f]{2,})\b",
            r"進数(?:の|で)?([0-9a-f]{2,})(?!進)",
        ],
        text,
    )
    if len(names) < 2 or digits is None:
        return None
    source, target = _BASES.get(names[0]), _BASES.get(names[1])
    value = sum(
        _DIGIT_CHARS.index(digit) * (source or 10) ** power
        for power, digit in enumerate(reversed(digits))
    )
    difficulty = 1 + sum(value >= 2**bits for bits in (5, 7, 9, 11))
    answer = str(value) if target is None else _in_base(value, target)
    return Solution("bases", language_of(text), difficulty, answer)


def _in_base(value: int, base: int) -> str:
    digits = ""
    while value:
        value, digit = divmod(value, base)
        digits = _DIGIT_CHARS[digit] + digits
    return digits
