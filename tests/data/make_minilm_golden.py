"""Make the golden vectors of all-MiniLM-L6-v2 with torch, which the project itself never uses.

Run it outside the project's environment, in one that has torch and transformers (Python >= 3.11):

    PYTHON tests/data/make_minilm_golden.py FOLDER_OF_THE_MODEL

It writes `minilm_golden.json` (texts and their token ids) and `minilm_golden.npy` beside itself.
The texts are this project's own; the tokenizer is transformers' pure Python one, so neither ids
nor vectors come from the code that they check.
"""

import importlib
import json
import platform
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20_261_124
MAX_TOKENS = 256
HERE = Path(__file__).parent

WORDS = ("hello", "why?", "Fahrenheit", "42", "ok", "naïve", "日", "🎉", "async", "...")
SUBJECTS = (
    "a kettle that whistles off key",
    "the night train to Sapporo",
    "our quarterly churn report",
    "a leaky bathroom tap",
    "the tide tables of a small harbour",
    "an unfair six-sided die",
    "my grandmother's plum jam",
    "a queue with two consumers",
    "the tax on imported bicycles",
    "a violin string under tension",
    "the border between two counties",
    "an expired TLS certificate",
    "a toddler who refuses to nap",
    "the third act of a school play",
    "soil with too much lime",
    "a beehive in late winter",
)
ASKS = (
    "Explain {} to a ten-year-old.",
    "What should I check first about {}?",
    "Write two sentences of dry humour about {}.",
    "List five risks of {} and rank them by cost.",
    "Translate into formal English: everything about {} was late again.",
    "Is {} more likely on a Monday? Show the reasoning step by step.",
    "Give me a haiku on {}.",
    "Compare {} with {}.",
    "How would you test a claim about {} with only 30 observations?",
    "Summarise the history of {} without using the letter z.",
)
SENTENCES = (
    "The meeting moved to Thursday because the lift was being serviced.",
    "She counted eleven herons before the fog closed in.",
    "Costs rose by 4.7 % in March, mostly from overnight freight.",
    "Nobody had labelled the fuse box, so we turned off half the street.",
    "A second reviewer disagreed, and her table of errors was convincing.",
    "If the valve sticks, close the inlet, wait, and call the duty engineer.",
    "The recipe asks for 250 g of flour but the photograph shows far more.",
    "Our retry budget is spent within ninety seconds of an outage.",
    "He argued that fairness and accuracy were different axes altogether.",
    "The library reopened with fewer shelves and a great many chairs.",
    "In the appendix, equation (3) should have a minus sign.",
    "Rain is expected north of the river; the south stays dry until noon.",
    "Please answer in plain words and say when you are unsure.",
    "The old contract, signed in 1987, never mentioned data at all.",
    "We measured the beam three times and got three different lengths.",
)
CODE = (
    "def mean(xs):\n    return sum(xs) / len(xs) if xs else 0.0",
    "for (let i = 0; i < rows.length; i++) { total += rows[i].price ?? 0; }",
    "SELECT city, COUNT(*) AS n FROM visits WHERE day >= '2025-04-01' GROUP BY city HAVING n > 3;",
    'fn main() { println!("{:?}", (1..=5).map(|x| x * x).collect::<Vec<_>>()); }',
    "git rebase --onto main feature~3 feature && make check",
    "Traceback (most recent call last): KeyError: 'retry_after_seconds'",
    "x = np.linalg.lstsq(A, b, rcond=None)[0]  # why is this slower than solve?",
    '^\\s*(?P<key>[a-z_]+)\\s*=\\s*"(?P<value>[^"]*)"$',
    '#include <stdio.h>\nint main(void) { return printf("%d\\n", 6 * 7) < 0; }',
    '<button class="buy" aria-label="Add to basket" disabled>Add</button>',
)
OTHER = (
    "Où est passée la clé du garage ? Elle était accrochée près du miroir.",
    "¿Cuántos días faltan para que maduren los higos del jardín?",
    "Die Prüfung beginnt um acht; wer später kommt, muß draußen warten.",
    "Smörgåsbord, façade, coöperate, piñata: which accents matter?",
    "Żółta łódź płynie przez spokojne jezioro.",
    "Ship it 🚀🚀 but only after lunch 🍜, okay? 👍🏽",
    "👩‍🔬 → 🧪 → 🤔 → 📝 → 🎓",
    "明日の会議は何時からですか。資料を三部印刷しておいてください。",
    "この関数が遅い理由を説明し、書き直した例を示してください。",
    "カレーと梅干し、どちらが先に売り切れるか賭けませんか?",
    "東京から札幌まで夜行列車で行く計画を英語で書いて。",
    "Что делать, если чайник свистит фальшиво?",
    "  tabs\tand   spaces \n\n and\u00a0a non-breaking one  ",
    "ALL CAPS, THEN lower, tHeN MiXeD.",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
)


def make_texts(count: int = 200) -> list[str]:
    """Return `count` different texts of 1 to about 300 tokens; the same ones every time."""
    chance = random.Random(SEED)
    texts = [*WORDS, *CODE, *OTHER]
    makers = (_ask, _ask, _paragraph, _paragraph, _record, _numbers, _mixture)
    while len(texts) < count:
        text = makers[len(texts) % len(makers)](chance)
        if text not in texts:
            texts.append(text)
    return texts


def _ask(chance: random.Random) -> str:
    return chance.choice(ASKS).format(*chance.sample(SUBJECTS, 2))


def _paragraph(chance: random.Random) -> str:
    return " ".join(chance.choices(SENTENCES, k=chance.randint(2, 20)))


def _record(chance: random.Random) -> str:
    rows = [
        {
            "id": chance.randint(1, 99_999),
            "subject": chance.choice(SUBJECTS),
            "score": round(chance.random(), 3),
            "open": chance.random() < 0.5,
        }
        for _ in range(chance.randint(1, 5))
    ]
    return json.dumps(rows, indent=chance.choice((None, 2)))


def _numbers(chance: random.Random) -> str:
    series = ", ".join(f"{chance.gauss(0, 50):.{chance.randint(0, 4)}f}" for _ in range(12))
    return f"Find the median and the outliers of: {series}"


def _mixture(chance: random.Random) -> str:
    parts = [chance.choice(OTHER), _ask(chance), chance.choice(CODE), chance.choice(SENTENCES)]
    chance.shuffle(parts)
    return "\n".join(parts[: chance.randint(2, 4)])


def embed(model: Path, texts: list[str]) -> tuple[list[list[int]], NDArray[np.float16]]:
    """Return the texts' token ids and their (texts, dims) unit-length embeddings, by torch."""
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    legacy: Any = importlib.import_module("transformers.models.bert.tokenization_bert_legacy")
    tokenizer = legacy.BertTokenizerLegacy(str(model / "vocab.txt"), do_lower_case=True)
    bert = transformers.AutoModel.from_pretrained(model, dtype=torch.float32).eval()
    all_ids = [
        tokenizer.encode(text, add_special_tokens=True, truncation=True, max_length=MAX_TOKENS)
        for text in texts
    ]
    vectors = []
    with torch.no_grad():
        for ids in all_ids:
            # One text at a time: no padding, so the mean is over all tokens.
            mean = bert(input_ids=torch.tensor([ids])).last_hidden_state.mean(dim=1)
            vectors.append(torch.nn.functional.normalize(mean, dim=1)[0].numpy())
    return all_ids, np.stack(vectors).astype(np.float16)


def main(model: Path) -> None:
    """Write the two files."""
    texts = make_texts()
    ids, vectors = embed(model, texts)
    versions = {
        name: str(importlib.import_module(name).__version__)
        for name in ("torch", "transformers", "numpy")
    }
    about = (
        "sentence-transformers/all-MiniLM-L6-v2 in float32: transformers' BertTokenizerLegacy, cut "
        "at 256 tokens, AutoModel, mean of all tokens, L2; made by make_minilm_golden.py with "
        f"{versions} on Python {platform.python_version()}"
    )
    rows = [
        json.dumps({"text": text, "ids": row}, ensure_ascii=False)
        for text, row in zip(texts, ids, strict=True)
    ]
    body = ",\n".join(rows)
    (HERE / "minilm_golden.json").write_text(
        f'{{"about": {json.dumps(about)},\n"rows": [\n{body}\n]}}\n', encoding="utf-8"
    )
    np.save(HERE / "minilm_golden.npy", vectors)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
