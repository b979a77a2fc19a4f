"""Prompts with known answers, written by us and drawn from seeds, in English and Japanese."""

from training.prompts.answers import is_correct
from training.prompts.files import write_prompts
from training.prompts.generate import generate
from training.prompts.prompt import DIFFICULTIES, LANGUAGES, Kind, Language, Prompt
from training.prompts.registry import KINDS

__all__ = [
    "DIFFICULTIES",
    "KINDS",
    "LANGUAGES",
    "Kind",
    "Language",
    "Prompt",
    "generate",
    "is_correct",
    "write_prompts",
]
