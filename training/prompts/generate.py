"""Draw a balanced list of prompts, the same everywhere for the same seed."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from random import Random

from regroup.errors import DataError
from training.prompts.prompt import DIFFICULTIES, LANGUAGES, Language, Prompt
from training.prompts.registry import KINDS

_PATIENCE = 500
"""Draws in a row that only repeat earlier texts: by then a category has nothing new to say."""


def generate(
    n: int, languages: Sequence[str], seed: int, categories: Sequence[str] | None = None
) -> list[Prompt]:
    """Return `n` prompts with different texts, balanced over categories, languages, difficulties.

    A longer list starts with the shorter one of the same seed, languages and categories, and the
    prompts of a category and language do not depend on which others are asked for.

    Raises:
        DataError: no such language or category, or there are not `n` different prompts.
    """
    if n < 1:
        raise DataError(f"{n} prompts were asked for: at least 1 is needed")
    names = _known("category", "categories", categories or list(KINDS), list(KINDS))
    spoken = _known("language", "languages", languages, LANGUAGES)
    cells = [
        _cell(name, language, seed, first=list(KINDS).index(name))
        for name in names
        for language in LANGUAGES
        if language in spoken
    ]
    rounds = zip(*cells, strict=True)
    return list(islice(chain.from_iterable(rounds), n))


def _cell(category: str, language: Language, seed: int, *, first: int) -> Iterator[Prompt]:
    """Yield a category's prompts in one language; `first` turns the cycle of difficulties."""
    # A string seeds by SHA-512 of its bytes, whatever PYTHONHASHSEED says. Not for secrets.
    rng = Random(f"{seed}/{category}/{language}")  # noqa: S311
    seen: set[str] = set()
    number = 0
    while True:
        difficulty = DIFFICULTIES[(number + first) % len(DIFFICULTIES)]
        for _ in range(_PATIENCE):
            question = KINDS[category].draw(rng, language, difficulty)
            if question.text not in seen:
                break
        else:
            raise DataError(
                f"too many prompts: after {number} of {category} in {language} there is nothing "
                f"new at difficulty {difficulty}; ask for fewer, or for more categories"
            )
        seen.add(question.text)
        number += 1
        yield Prompt(
            id=f"{category}-{language}-{seed}-{number}",
            category=category,
            language=language,
            difficulty=difficulty,
            text=question.text,
            answer=question.answer,
        )


def _known(one: str, several: str, asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the names asked for, once each, in the order of the known ones."""
    for name in asked:
        if name not in known:
            raise DataError(f"no {one} {name!r}; {several}: {', '.join(known)}")
    if not asked:
        raise DataError(f"no {one} was asked for; {several}: {', '.join(known)}")
    return [name for name in known if name in asked]
