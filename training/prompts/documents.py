"""JSON to edit and messages to find a fact in."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from training.prompts.prompt import Language, Question
from training.prompts.wording import Wordings, ask

type _Value = str | int | bool

_WORDS: Mapping[Language, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "item": ("lamp", "chair", "kettle", "umbrella", "notebook", "mug"),
        "city": ("Lyon", "Osaka", "Leeds", "Porto", "Turin", "Kobe"),
        "color": ("red", "blue", "green", "grey", "white"),
        "owner": ("Anna", "Ben", "Dora", "Emil", "Hana"),
        "note": ("checked", "fragile", "late", "gift"),
    },
    "ja": {
        "item": ("電気スタンド", "椅子", "やかん", "傘", "ノート", "湯のみ"),
        "city": ("京都", "大阪", "札幌", "仙台", "福岡", "神戸"),
        "color": ("赤", "青", "緑", "灰色", "白"),
        "owner": ("葵", "健", "美咲", "大輔", "直樹"),
        "note": ("確認済み", "割れ物", "遅延", "贈答用"),
    },
}
_NUMBERS = {"stock": (1, 90), "price": (100, 9000), "year": (1990, 2030), "weight": (2, 400)}
_NEW_NAMES = {"city": "place", "color": "colour_name", "owner": "contact", "item": "product"}
_EDIT: Wordings = {
    "en": (
        "Edit this JSON object as listed.\n{json}\n{steps}\n",
        "Below are a JSON record and the changes to make to it.\n{json}\n{steps}\n",
        "Apply these changes to the JSON.\n{steps}\n{json}\n",
    ),
    "ja": (
        "次のJSONオブジェクトを、箇条書きのとおりに編集してください。\n{json}\n{steps}\n",
        "JSONのレコードと変更内容を示します。変更を反映してください。\n{json}\n{steps}\n",
        "以下の変更をJSONに加えてください。\n{steps}\n{json}\n",
    ),
}
_STEP: Mapping[str, Mapping[Language, str]] = {
    "set": {"en": '- set "{key}" to {value}', "ja": '- "{key}"を{value}に変更する'},
    "remove": {"en": '- remove "{key}"', "ja": '- "{key}"を削除する'},
    "rename": {
        "en": '- rename the key "{key}" to "{new}"',
        "ja": '- キー"{key}"の名前を"{new}"に変える',
    },
    "raise": {"en": '- increase "{key}" by {value}', "ja": '- "{key}"を{value}増やす'},
}


def json_edit(rng: Random, language: Language, difficulty: int) -> Question:
    """A JSON object and as many edits as the difficulty says, each of another key."""
    keys = rng.sample([*_WORDS[language], *_NUMBERS], 3 + difficulty)
    record = {key: _value(rng, language, key) for key in keys}
    before = json.dumps(record, ensure_ascii=False)
    steps = []
    for key in rng.sample(keys, difficulty):
        value = _value(rng, language, key)
        names = ["set", "remove"]
        names += ["rename"] if key in _NEW_NAMES else []
        names += ["raise", "raise"] if key in _NUMBERS else []
        if record[key] == value:
            names.remove("set")
        name = rng.choice(names)
        if name == "raise":
            value = rng.randint(2, 90)
        fields = {"key": key, "value": json.dumps(value, ensure_ascii=False)}
        steps.append(_STEP[name][language].format(**fields, new=_NEW_NAMES.get(key)))
        _edit(record, name, key, value)
    text = ask(rng, language, _EDIT, "json", json=before, steps="\n".join(steps))
    return Question(text, json.dumps(record, ensure_ascii=False))


def _value(rng: Random, language: Language, key: str) -> _Value:
    if key in _NUMBERS:
        return rng.randint(*_NUMBERS[key])
    return rng.choice(_WORDS[language][key])


def _edit(record: dict[str, _Value], name: str, key: str, value: _Value) -> None:
    old = record.pop(key)
    if name == "set":
        record[key] = value
    elif name == "rename":
        record[_NEW_NAMES[key]] = old
    elif name == "raise" and isinstance(old, int) and isinstance(value, int):
        record[key] = old + value


@dataclass(frozen=True, slots=True)
class _Fact:
    make: Callable[[Random], str]
    told: Mapping[Language, str]
    asked: Mapping[Language, str]


def _code(letters: str, low: int, high: int, gap: str = "") -> Callable[[Random], str]:
    return lambda rng: f"{rng.choice(letters)}{gap}{rng.randint(low, high)}"


_FACTS = (
    _Fact(
        _code("ABCDE", 1000, 9999, "-"),
        {"en": "My order number is {v}.", "ja": "注文番号は{v}です。"},
        {"en": "the order number", "ja": "注文番号"},
    ),
    _Fact(
        lambda rng: str(rng.randint(2000, 8999)),
        {"en": "You can call me on extension {v}.", "ja": "内線は{v}番です。"},
        {"en": "the phone extension", "ja": "内線番号"},
    ),
    _Fact(
        lambda rng: (
            f"{rng.choice(('sales', 'info', 'desk', 'team'))}{rng.randint(2, 99)}@"
            f"{rng.choice(('example.com', 'example.jp', 'example.org'))}"
        ),
        {"en": "Write to {v} if anything changes.", "ja": "変更があれば{v}までご連絡ください。"},
        {"en": "the email address", "ja": "メールアドレス"},
    ),
    _Fact(
        lambda rng: f"{rng.randint(1, 40)}{rng.choice('ABCDEFGH')}",
        {"en": "I booked seat {v} on the train.", "ja": "電車の座席は{v}を取りました。"},
        {"en": "the seat number", "ja": "座席番号"},
    ),
    _Fact(
        _code("NSEW", 101, 989),
        {"en": "We meet in room {v}.", "ja": "打ち合わせは{v}号室で行います。"},
        {"en": "the meeting room", "ja": "打ち合わせの部屋番号"},
    ),
    _Fact(
        lambda rng: f"{rng.randint(11, 989) * 100:,}",
        {"en": "The invoice comes to {v} yen.", "ja": "請求額は{v}円になります。"},
        {"en": "the invoice amount in yen", "ja": "請求額(円)"},
    ),
    _Fact(
        lambda rng: f"{rng.choice(('QX', 'ZK', 'VY'))}{rng.randint(10, 999)}",
        {"en": "I arrive on flight {v}.", "ja": "飛行機は{v}便で到着します。"},
        {"en": "the flight number", "ja": "便名"},
    ),
    _Fact(
        lambda rng: f"{rng.randint(0, 9999):04}#",
        {
            "en": "The code for the door is {v}.",
            "ja": "入口の暗証番号は{v}です。",
        },
        {"en": "the door code", "ja": "入口の暗証番号"},
    ),
)
_HELLO: Mapping[Language, tuple[str, ...]] = {
    "en": ("Hello, this is about my visit next week.", "Hi, a few details before we talk.", "Hi!"),
    "ja": ("お世話になっております。", "来週の訪問の件でご連絡します。", "お疲れさまです。"),
}
_BYE: Mapping[Language, tuple[str, ...]] = {
    "en": ("Thank you and see you soon.", "Best wishes.", "Looking forward to it!"),
    "ja": (
        "どうぞよろしくお願いいたします。",
        "お会いできるのを楽しみにしています。",
        "以上です。",
    ),
}
_FIND: Wordings = {
    "en": (
        "Find {what} in this message.\n\n{message}\n\n",
        "Read the message below and pick out {what}.\n\n{message}\n\n",
        "{message}\n\nFrom the message above, extract {what}.",
    ),
    "ja": (
        "次のメッセージから{what}を抜き出してください。\n\n{message}\n\n",
        "以下のメッセージを読んで、{what}を見つけてください。\n\n{message}\n\n",
        "{message}\n\n上のメッセージに書かれている{what}を抜き出してください。",
    ),
}


def extraction(rng: Random, language: Language, difficulty: int) -> Question:
    """A message with one fact more than the difficulty says; one of them is asked for."""
    facts = [(fact, fact.make(rng)) for fact in rng.sample(_FACTS, difficulty + 1)]
    wanted, answer = rng.choice(facts)
    told = [fact.told[language].format(v=value) for fact, value in facts]
    lines = [rng.choice(_HELLO[language]), *told, rng.choice(_BYE[language])]
    message = (" " if language == "en" else "").join(lines)
    text = ask(rng, language, _FIND, "word", what=wanted.asked[language], message=message)
    return Question(text, answer)
