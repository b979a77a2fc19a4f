"""What a prompt of the bundled set is, and what each kind of prompt must provide."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

type Language = Literal["en", "ja"]

LANGUAGES: tuple[Language, ...] = ("en", "ja")
DIFFICULTIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question with the only right answer."""

    id: str
    category: str
    language: Language
    difficulty: int
    """1 to 5; it shows in the text, as more steps, more items or larger numbers."""
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Question:
    """What one draw gives: the text as asked and its answer."""

    text: str
    answer: str


type Draw = Callable[[Random, Language, int], Question]
"""Draws a question in a language at a difficulty, from this random source alone."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One category of the set."""

    about: str
    draw: Draw
