"""A small labelled data set of our own making, for tests and for `make serve`.

Three kinds of prompts; each candidate of the shipped catalog is good at its own kind, so that a
router has something to learn.
"""

import json
import random
from pathlib import Path

CANDIDATES = ("haiku", "llama-70b", "nova-lite", "sonnet")

_SKILL = {
    "arithmetic": {"haiku": 0.55, "llama-70b": 0.45, "nova-lite": 0.95, "sonnet": 0.75},
    "code": {"haiku": 0.5, "llama-70b": 0.4, "nova-lite": 0.35, "sonnet": 0.95},
    "chat": {"haiku": 0.95, "llama-70b": 0.8, "nova-lite": 0.6, "sonnet": 0.75},
}
_TOKENS = {"haiku": 180, "llama-70b": 220, "nova-lite": 150, "sonnet": 400}

_LANGUAGES = ("Python", "Go", "Rust", "SQL", "TypeScript", "Java")
_TASKS = (
    "reverse a linked list",
    "parse a CSV file with quoted fields",
    "find the longest common prefix",
    "retry a request with backoff",
    "merge two sorted arrays",
    "count words by frequency",
)
_TOPICS = (
    "gardening",
    "a birthday party",
    "learning the guitar",
    "a trip to Kyoto",
    "cooking rice",
)
_MOODS = ("short", "friendly", "funny", "thoughtful", "poetic")


def write_sample_data(path: Path, rows: int = 400, seed: int = 0) -> Path:
    """Write `rows` labelled queries as JSONL and return the path."""
    rng = random.Random(seed)
    lines = [json.dumps(_row(rng, number)) for number in range(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _row(rng: random.Random, number: int) -> dict[str, object]:
    kind = rng.choice(list(_SKILL))
    return {
        "id": f"sample-{number}",
        "dataset": kind,
        "split": "train",
        "text": _prompt(rng, kind),
        "scores": {
            name: round(min(1.0, max(0.0, rng.gauss(skill, 0.08))), 3)
            for name, skill in _SKILL[kind].items()
        },
        "output_tokens": {
            name: max(1, round(rng.gauss(tokens, tokens / 5))) for name, tokens in _TOKENS.items()
        },
    }


def _prompt(rng: random.Random, kind: str) -> str:
    if kind == "arithmetic":
        a, b, c = (rng.randint(2, 999) for _ in range(3))
        return rng.choice(
            (
                f"What is {a} times {b}, plus {c}?",
                f"A shop sells {a} apples a day for {b} days. How many apples is that?",
                f"Compute ({a} + {b}) * {c} and give only the number.",
            )
        )
    if kind == "code":
        return f"Write a function in {rng.choice(_LANGUAGES)} to {rng.choice(_TASKS)}."
    return f"Write a {rng.choice(_MOODS)} message about {rng.choice(_TOPICS)} to a friend."
