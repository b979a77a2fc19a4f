"""Solvers of word problems, units and dates."""

import re
from datetime import date, timedelta
from fractions import Fraction

from tests.local.solvers.solution import Solution, first_group, language_of

_STOCK = re.compile(
    r"How many (?:whole )?(?:rolls|books|eggs|stamps)|"
    r"(?:ロールパン|本|卵|切手)(?:は|が)[^。]*何[個冊枚]"
)
_BOXES = (r"(\d+) \w+ of (\d+) \w+ each", r"(\d+)[個冊枚]入りの.+?が(\d+)")
_FEWER = re.compile(
    r"buy|takes|throws|breaks|hands|loses|買って|引き取|処分|譲り|割って|あげ|なくし"
)


def word_problem(text: str) -> Solution | None:
    if not _STOCK.search(text):
        return None
    told = [part for part in re.split(r"[.。] ?", text) if re.search(r"\d", part)]
    start, *events = told
    stock = int(re.findall(r"\d+", start)[0])
    for event in events:
        stock += _change(event)
    return Solution("word_problem", language_of(text), len(events), str(stock))


def _change(event: str) -> int:
    for pattern in _BOXES:
        if found := re.search(pattern, event):
            return int(found[1]) * int(found[2])
    n = int(re.findall(r"\d+", event)[0])
    return -n if _FEWER.search(event) else n


# Everything in terms of the metre, the gram, the minute and the litre.
_UNITS = {
    "millimetres": Fraction(1, 1000), "centimetres": Fraction(1, 100), "kilometres": Fraction(1000),
    "metres": Fraction(1), "kilograms": Fraction(1000), "grams": Fraction(1),
    "tonnes": Fraction(10**6), "seconds": Fraction(1, 60), "minutes": Fraction(1),
    "hours": Fraction(60), "days": Fraction(1440), "millilitres": Fraction(1, 1000),
    "decilitres": Fraction(1, 10), "litres": Fraction(1),
    "ミリメートル": Fraction(1, 1000), "センチメートル": Fraction(1, 100),
    "キロメートル": Fraction(1000), "メートル": Fraction(1), "キログラム": Fraction(1000),
    "グラム": Fraction(1), "トン": Fraction(10**6), "秒": Fraction(1, 60), "分": Fraction(1),
    "時間": Fraction(60), "日": Fraction(1440), "ミリリットル": Fraction(1, 1000),
    "デシリットル": Fraction(1, 10), "リットル": Fraction(1),
}  # fmt: skip
_UNIT = "|".join(_UNITS)
_TARGETS = (
    rf"(?:Convert .* to|How many|Express .* in|How much is that in) ({_UNIT})\b",
    rf"(?:を|何|。)({_UNIT})(?:に換算|の単位で|ですか|に直す)",
)


def units(text: str) -> Solution | None:
    target = first_group(_TARGETS, text)
    parts = re.findall(rf"(\d+) ?({_UNIT})", text)
    if target is None or target == "日" or not parts:
        return None
    total = sum(int(n) * _UNITS[unit] for n, unit in parts) / _UNITS[target]
    return Solution("units", language_of(text), len(parts), str(total))


_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905
_LATER = (r"(\d+) days (?:after|later)", r"in (\d+) days", r"(\d+)日後")
_EARLIER = (r"(\d+) days (?:before|earlier|ago)", r"(\d+)日前")


def dates(text: str) -> Solution | None:
    later, earlier = first_group(_LATER, text), first_group(_EARLIER, text)
    # An instruction shows this date as an example of the form.
    start = _date(text.replace("2000-01-31", ""))
    away = later or earlier
    if away is None or start is None:
        return None
    days = int(away)
    answer = start + timedelta(days=days if later else -days)
    difficulty = 1 + sum(days >= low for low in (10, 32, 100, 400))
    return Solution("dates", language_of(text), difficulty, answer.isoformat())


def _date(text: str) -> date | None:
    if found := re.search(r"(\d{4})(?:-|年)(\d{1,2})(?:-|月)(\d{1,2})", text):
        year, month, day = map(int, found.groups())
        return date(year, month, day)
    if found := re.search(r"(\d{1,2}) ([A-Z][a-z]{2})[a-z]* (\d{4})", text):
        return date(int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1]))
    if found := re.search(r"([A-Z][a-z]{2})[a-z]* (\d{1,2}), (\d{4})", text):
        return date(int(found[3]), _MONTHS.index(found[1]) + 1, int(found[2]))
    return None
