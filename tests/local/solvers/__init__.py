"""What a stand-in model "thinks": the right answer, read off the text of a bundled prompt.

Each solver knows one category by its wording, in both languages, and returns None for any other
text. They share nothing with the generators but the tables of facts, so the two check each other.
"""

from collections.abc import Callable
from functools import lru_cache

from tests.local.solvers import code, documents, everyday, knowledge, logic, numbers, texts
from tests.local.solvers.solution import Solution

__all__ = ["SOLVERS", "Solution", "solve"]

SOLVERS: dict[str, Callable[[str], Solution | None]] = {
    "arithmetic": numbers.arithmetic,
    "bases": numbers.bases,
    "capitals": knowledge.capitals,
    "code_output": code.code_output,
    "counting": texts.counting,
    "dates": everyday.dates,
    "elements": knowledge.elements,
    "extraction": documents.extraction,
    "json_edit": documents.json_edit,
    "liars": logic.liars,
    "ordering": logic.ordering,
    "roman": numbers.roman,
    "sequence": numbers.sequence,
    "sorting": texts.sorting,
    "strings": texts.strings,
    "translation": knowledge.translation,
    "units": everyday.units,
    "word_problem": everyday.word_problem,
}


@lru_cache(maxsize=4096)  # every candidate is asked the same prompts
def solve(text: str) -> Solution | None:
    """Return what the text asks and its answer, or None if it is no prompt of the set."""
    return next((found for solver in SOLVERS.values() if (found := solver(text))), None)
