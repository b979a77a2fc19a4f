"""How a question is worded: a template, and an instruction to give nothing but the answer."""

from collections.abc import Mapping
from random import Random
from typing import Literal

from training.prompts.prompt import Language

type Form = Literal["number", "word", "list", "date", "json", "string", "output"]
type Wordings = Mapping[Language, tuple[str, ...]]

_FIRST = 0.25
"""How often the instruction comes before the question."""

_ONLY: Mapping[Form, Wordings] = {
    "number": {
        "en": (
            "Answer with the number only.",
            "Reply with just the number.",
            "Give only the number, no explanation.",
        ),
        "ja": (
            "数字だけで答えてください。",
            "答えは数字のみでお願いします。",
            "説明は不要ですので、数字だけを書いてください。",
        ),
    },
    "word": {
        "en": (
            "Answer with that alone.",
            "Reply with just the answer and nothing else.",
            "Give only the answer, no full sentence.",
        ),
        "ja": (
            "答えだけを書いてください。",
            "文にせず、答えのみでお願いします。",
            "説明は不要ですので、答えだけを返してください。",
        ),
    },
    "list": {
        "en": (
            "Answer with the list only, separated by commas.",
            "Reply with nothing but the items, comma-separated.",
            "Give only the list, with commas between the items.",
        ),
        "ja": (
            "カンマ区切りで、答えだけを書いてください。",
            "答えのみをカンマ区切りで返してください。",
            "説明は付けず、項目をカンマで区切って書いてください。",
        ),
    },
    "date": {
        "en": (
            "Answer with the date only, as YYYY-MM-DD.",
            "Reply with just the date in the form YYYY-MM-DD.",
            "Write only the date, like 2000-01-31.",
        ),
        "ja": (
            "日付だけをYYYY-MM-DDの形式で答えてください。",
            "答えはYYYY-MM-DD形式の日付のみでお願いします。",
            "2000-01-31のような形で、日付だけを書いてください。",
        ),
    },
    "json": {
        "en": (
            "Return only the resulting JSON.",
            "Answer with the new JSON and nothing else.",
            "Reply with just the edited JSON object.",
        ),
        "ja": (
            "編集後のJSONだけを返してください。",
            "結果のJSONのみを出力してください。",
            "説明は付けず、できあがったJSONだけを書いてください。",
        ),
    },
    "string": {
        "en": (
            "Answer with the resulting string only.",
            "Reply with just the final text.",
            "Give only what remains, no steps.",
        ),
        "ja": (
            "最後にできた文字列だけを答えてください。",
            "結果の文字列のみでお願いします。",
            "途中経過は書かず、できあがった文字列だけを返してください。",
        ),
    },
    "output": {
        "en": (
            "Answer with the output only.",
            "Reply with exactly what is printed.",
            "Give only the printed value.",
        ),
        "ja": (
            "出力だけを答えてください。",
            "表示される値のみを書いてください。",
            "解説は不要ですので、出力結果だけを返してください。",
        ),
    },
}


def ask(rng: Random, language: Language, wordings: Wordings, form: Form, **fields: object) -> str:
    """Word a question with its instruction; `fields` fill the template."""
    question = rng.choice(wordings[language]).format(**fields)
    only = rng.choice(_ONLY[form][language])
    first, second = (only, question) if rng.random() < _FIRST else (question, only)
    gap = "" if first.endswith("\n") or language == "ja" else " "
    return f"{first}{gap}{second}".strip()
