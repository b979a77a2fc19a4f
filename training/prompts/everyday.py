"""Word problems, units and dates."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from training.prompts.prompt import Language, Question
from training.prompts.wording import Wordings, ask


@dataclass(frozen=True, slots=True)
class _Story:
    start: str
    more: tuple[str, str]
    fewer: tuple[str, str]
    boxes: str
    """`a` boxes of `b` each are added"""
    questions: tuple[str, str]


_STORIES: dict[Language, tuple[_Story, ...]] = {
    "en": (
        _Story(
            "A bakery has {n} rolls on the shelf in the morning.",
            ("The baker adds {n} rolls.", "Another {n} rolls come out of the oven."),
            ("Customers buy {n} rolls.", "A café takes {n} rolls away."),
            "A van brings {a} trays of {b} rolls each.",
            ("How many rolls are on the shelf now?", "How many rolls does it have in the end?"),
        ),
        _Story(
            "A village library owns {n} books.",
            ("The mayor donates {n} books.", "It orders {n} new books, and they arrive."),
            ("It throws out {n} worn books.", "A school takes {n} books away."),
            "A neighbour brings {a} boxes of {b} books each.",
            ("How many books does the library own now?", "How many books are there in the end?"),
        ),
        _Story(
            "A farm keeps {n} eggs in the cold room.",
            ("The hens lay {n} eggs.", "The next farm adds {n} eggs."),
            ("Guests of the inn buy {n} eggs.", "The dog breaks {n} eggs."),
            "A cart brings {a} crates of {b} eggs each.",
            ("How many whole eggs are left?", "How many whole eggs does the farm have now?"),
        ),
        _Story(
            "Mia owns {n} stamps.",
            ("Her uncle gives her {n} stamps.", "She finds {n} stamps in a drawer."),
            ("She hands {n} stamps to a friend.", "She loses {n} stamps when moving."),
            "Her aunt brings {a} packs of {b} stamps each.",
            ("How many stamps does Mia own now?", "How many stamps has she got in the end?"),
        ),
    ),
    "ja": (
        _Story(
            "パン屋の棚に、朝の時点でロールパンが{n}個並んでいます。",
            ("職人がさらに{n}個焼き足しました。", "オーブンから新たに{n}個出てきました。"),
            ("お客さんが{n}個買っていきました。", "近くの喫茶店が{n}個引き取りました。"),
            "そこへ{b}個入りのトレーが{a}枚届きました。",
            ("棚のロールパンは今、何個ですか。", "最後にロールパンは何個になりますか。"),
        ),
        _Story(
            "町の図書館に本が{n}冊あります。",
            ("町長が{n}冊寄贈しました。", "新刊を{n}冊購入しました。"),
            ("傷んだ本を{n}冊処分しました。", "小学校へ{n}冊譲りました。"),
            "近所の人から{b}冊入りの箱が{a}箱届きました。",
            ("本は全部で何冊になりましたか。", "図書館には今、本が何冊ありますか。"),
        ),
        _Story(
            "農家の冷蔵庫に卵が{n}個あります。",
            ("鶏が{n}個産みました。", "隣の農家から{n}個もらいました。"),
            ("旅館が{n}個買っていきました。", "うっかり{n}個割ってしまいました。"),
            "そこへ{b}個入りのケースが{a}ケース届きました。",
            ("割れていない卵は今、何個ありますか。", "無事な卵は最後に何個残っていますか。"),
        ),
        _Story(
            "美咲さんは切手を{n}枚持っています。",
            ("おじさんから{n}枚もらいました。", "引き出しから{n}枚見つかりました。"),
            ("友達に{n}枚あげました。", "引っ越しで{n}枚なくしました。"),
            "おばさんから{b}枚入りの切手セットが{a}組届きました。",
            ("美咲さんの切手は今、何枚ですか。", "切手は最後に何枚になりましたか。"),
        ),
    ),
}


def word_problem(rng: Random, language: Language, difficulty: int) -> Question:
    """A stock of things and as many events as the difficulty says."""
    story = rng.choice(_STORIES[language])
    stock = rng.randint(30, 60) + 20 * difficulty
    told = [story.start.format(n=stock)]
    for _ in range(difficulty):
        chance = rng.random()
        if chance < 0.25:
            a, b = rng.randint(2, 9), rng.randint(3, 24)
            told.append(story.boxes.format(a=a, b=b))
            stock += a * b
        elif chance < 0.6 or stock < 12:
            n = rng.randint(2, 60)
            told.append(rng.choice(story.more).format(n=n))
            stock += n
        else:
            n = rng.randint(2, stock // 2)
            told.append(rng.choice(story.fewer).format(n=n))
            stock -= n
    gap = " " if language == "en" else ""
    question = gap.join([*told, rng.choice(story.questions)])
    return Question(ask(rng, language, {language: (question,)}, "number"), str(stock))


_UNITS: dict[Language, tuple[dict[str, int], ...]] = {
    "en": (
        {"millimetres": 1, "centimetres": 10, "metres": 1_000, "kilometres": 1_000_000},
        {"grams": 1, "kilograms": 1_000, "tonnes": 1_000_000},
        {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400},
        {"millilitres": 1, "decilitres": 100, "litres": 1_000},
    ),
    "ja": (
        {"ミリメートル": 1, "センチメートル": 10, "メートル": 1_000, "キロメートル": 1_000_000},
        {"グラム": 1, "キログラム": 1_000, "トン": 1_000_000},
        {"秒": 1, "分": 60, "時間": 3_600, "日": 86_400},
        {"ミリリットル": 1, "デシリットル": 100, "リットル": 1_000},
    ),
}
_CONVERT: Wordings = {
    "en": (
        "Convert {amount} to {unit}.",
        "How many {unit} are {amount}?",
        "Express {amount} in {unit}.",
        "I measured {amount}. How much is that in {unit}?",
    ),
    "ja": (
        "{amount}を{unit}に換算してください。",
        "{amount}は何{unit}ですか。",
        "{amount}を{unit}の単位で表してください。",
        "測ったところ{amount}でした。{unit}に直すといくつですか。",
    ),
}


def units(rng: Random, language: Language, difficulty: int) -> Question:
    """A sum of as many quantities as the difficulty says, in a unit that divides them all."""
    scale = rng.choice(_UNITS[language])
    names = list(scale)
    target = rng.randrange(len(names) - 1)
    larger = names[target + 1 :]
    parts = [(rng.randint(2, 40), rng.choice(larger))]
    parts += [(rng.randint(2, 40), rng.choice(names[target:])) for _ in range(difficulty - 1)]
    rng.shuffle(parts)
    total = sum(n * scale[unit] for n, unit in parts) // scale[names[target]]
    spaced = " " if language == "en" else ""
    amount = {"en": " plus ", "ja": "と"}[language].join(f"{n}{spaced}{unit}" for n, unit in parts)
    text = ask(rng, language, _CONVERT, "number", amount=amount, unit=names[target])
    return Question(text, str(total))


_DAY_BANDS = ((2, 9), (10, 31), (32, 99), (100, 399), (400, 2500))
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_FIRST_DAY = date(2001, 1, 1)
_DATES: dict[bool, Wordings] = {
    True: {
        "en": (
            "What date is {n} days after {day}?",
            "A parcel was posted on {day} and arrived {n} days later. When did it arrive?",
            "Today is {day}. Which date will it be in {n} days?",
            "A visa was issued on {day} and ends {n} days later. On which date does it end?",
        ),
        "ja": (
            "{day}の{n}日後は何年何月何日ですか。",
            "荷物を{day}に発送し、{n}日後に届きました。届いた日はいつですか。",
            "今日は{day}です。{n}日後の日付を教えてください。",
            "契約日は{day}で、その{n}日後が期限です。期限はいつですか。",
        ),
    },
    False: {
        "en": (
            "What date was {n} days before {day}?",
            "The exam is on {day}. Revision starts {n} days earlier. When does it start?",
            "Today is {day}. Which date was it {n} days ago?",
        ),
        "ja": (
            "{day}の{n}日前は何年何月何日ですか。",
            "試験は{day}です。勉強はその{n}日前に始めます。開始日はいつですか。",
            "今日は{day}です。{n}日前の日付を教えてください。",
        ),
    },
}


def dates(rng: Random, language: Language, difficulty: int) -> Question:
    """A date some days away; further away is harder."""
    start = _FIRST_DAY + timedelta(days=rng.randrange(12_000))
    n = rng.randint(*_DAY_BANDS[difficulty - 1])
    later = rng.random() < 0.6
    answer = start + timedelta(days=n if later else -n)
    month = _MONTHS[start.month - 1]
    shown = {
        "en": (f"{start.day} {month} {start.year}", f"{month} {start.day}, {start.year}"),
        "ja": (f"{start.year}年{start.month}月{start.day}日",),
    }[language]
    day = rng.choice((*shown, start.isoformat()))
    return Question(ask(rng, language, _DATES[later], "date", n=n, day=day), answer.isoformat())
