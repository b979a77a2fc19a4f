"""How an answer goes wrong, in the way its category invites."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from random import Random

from tests.local.solvers.solution import Solution
from training.prompts import Language, is_correct

UNKNOWN: dict[Language, str] = {"en": "I do not know.", "ja": "わかりません。"}
"""The honest short answer."""

_TRIES = 50


def mistake(solution: Solution, rng: Random) -> str:
    """Return a plausible answer that is surely wrong."""
    make = _MISTAKES[solution.category]
    for _ in range(_TRIES):
        wrong = make(solution, rng)
        if wrong and not is_correct(solution.answer, wrong):
            return wrong
    return UNKNOWN[solution.language]


def _near_number(solution: Solution, rng: Random) -> str:
    """Off by one or by ten, or with two digits swapped."""
    if len(solution.answer) > 2 and rng.random() < 0.4:
        return _swapped(list(solution.answer), rng, joiner="")
    return str(int(solution.answer) + rng.choice((-10, -2, -1, 1, 2, 10)))


def _near_count(solution: Solution, rng: Random) -> str:
    return str(abs(int(solution.answer) + rng.choice((-2, -1, 1, 2))))


def _near_date(solution: Solution, rng: Random) -> str:
    days = rng.choice((-31, -30, -2, -1, 1, 2, 30, 31))
    return (date.fromisoformat(solution.answer) + timedelta(days=days)).isoformat()


def _near_digits(solution: Solution, rng: Random) -> str:
    """One digit changed to another that occurs, so that binary stays binary."""
    digits = list(solution.answer)
    at = rng.randrange(len(digits))
    digits[at] = rng.choice(sorted({*digits, "0", "1"}))
    return "".join(digits).lstrip("0")


def _near_letters(solution: Solution, rng: Random) -> str:
    """Two neighbours swapped, one lost, or one written twice."""
    letters = list(solution.answer)
    at = rng.randrange(len(letters))
    kind = rng.randrange(3)
    if kind == 0 and len(letters) > 1:
        return _swapped(letters, rng, joiner="")
    letters[at : at + 1] = [] if kind == 1 else [letters[at]] * 2
    return "".join(letters)


def _near_roman(solution: Solution, rng: Random) -> str:
    near = _near_number if solution.answer.isdecimal() else _near_letters
    return near(solution, rng)


def _near_list(solution: Solution, rng: Random) -> str:
    """Two neighbours swapped or one left out."""
    items = solution.answer.split(", ")
    if rng.random() < 0.7:
        return _swapped(items, rng, joiner=", ")
    del items[rng.randrange(len(items))]
    return ", ".join(items)


def _other_item(solution: Solution, rng: Random) -> str:
    """Another city, element, word, person or fact in the place of one."""
    items = solution.answer.split(", ")
    items[rng.randrange(len(items))] = rng.choice(solution.rivals)
    return ", ".join(items)


def _near_json(solution: Solution, rng: Random) -> str:
    """Cut off before its end, or with one edit gone wrong."""
    if rng.random() < 0.4:
        return solution.answer[: -rng.randint(1, len(solution.answer) // 2)]
    record = json.loads(solution.answer)
    key = rng.choice(list(record))
    value = record.pop(key)
    if isinstance(value, int):
        record[key] = value + rng.choice((-10, -1, 1, 10))
    return json.dumps(record, ensure_ascii=False)


def _swapped(items: list[str], rng: Random, *, joiner: str) -> str:
    at = rng.randrange(len(items) - 1)
    items[at], items[at + 1] = items[at + 1], items[at]
    return joiner.join(items)


_MISTAKES: dict[str, Callable[[Solution, Random], str]] = {
    "arithmetic": _near_number,
    "bases": _near_digits,
    "capitals": _other_item,
    "code_output": _near_number,
    "counting": _near_count,
    "dates": _near_date,
    "elements": _other_item,
    "extraction": _other_item,
    "json_edit": _near_json,
    "liars": _near_count,
    "ordering": _other_item,
    "roman": _near_roman,
    "sequence": _near_number,
    "sorting": _near_list,
    "strings": _near_letters,
    "translation": _other_item,
    "units": _near_number,
    "word_problem": _near_number,
}
