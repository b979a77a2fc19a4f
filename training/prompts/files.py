"""Write prompts as lines that become labelled data once models have answered them."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from regroup.errors import DataError
from training.prompts.prompt import Prompt


def write_prompts(path: Path, prompts: Iterable[Prompt]) -> None:
    """Write one JSON line per prompt, all or nothing; the category is the row's `dataset`.

    Raises:
        DataError: the file cannot be written.
    """
    lines = "".join(json.dumps(_fields(one), ensure_ascii=False) + "\n" for one in prompts)
    waiting = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            waiting.write_bytes(lines.encode())
            waiting.replace(path)
        finally:
            waiting.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path} cannot be written") from error


def _fields(prompt: Prompt) -> dict[str, object]:
    return {
        "id": prompt.id,
        "text": prompt.text,
        "answer": prompt.answer,
        "dataset": prompt.category,
        "language": prompt.language,
        "difficulty": prompt.difficulty,
    }
