"""Sums, sequences, Roman numerals and number bases."""
# ruff: noqa: RUF001 - full-width signs are how Japanese writes a sum

from random import Random

from training.prompts.prompt import Language, Question
from training.prompts.wording import Wordings, ask

_SIGNS: dict[Language, tuple[dict[str, str], ...]] = {
    "en": (
        {"+": " + ", "-": " - ", "*": " * "},
        {"+": " + ", "-": " - ", "*": " × "},
        {"+": " plus ", "-": " minus ", "*": " times "},
    ),
    "ja": (
        {"+": " + ", "-": " - ", "*": " × "},
        {"+": "＋", "-": "−", "*": "×"},
        {"+": "足す", "-": "引く", "*": "掛ける"},
    ),
}
_ARITHMETIC: Wordings = {
    "en": (
        "What is {sum}?",
        "Calculate {sum}.",
        "Work out the value of this expression: {sum}.",
        "Please compute {sum} for me.",
    ),
    "ja": (
        "{sum}はいくつですか。",
        "{sum}を計算してください。",
        "次の式の値を求めてください。\n{sum}\n",
        "{sum}の計算結果を教えてください。",
    ),
}


def arithmetic(rng: Random, language: Language, difficulty: int) -> Question:
    """As many operations as the difficulty says; at most two of them multiply."""
    largest = (60, 90, 199, 499, 999)[difficulty - 1]
    signs = [rng.choice("+-*") for _ in range(difficulty)]
    for at in [i for i, sign in enumerate(signs) if sign == "*"][2:]:
        signs[at] = rng.choice("+-")
    operands = [rng.randint(2, largest) for _ in range(difficulty + 1)]
    spelled = rng.choice(_SIGNS[language])
    if "*" in signs and difficulty > 1:
        spelled = _SIGNS[language][rng.randrange(2)]  # words would hide what binds tighter
    shown, total, product, sign = str(operands[0]), 0, operands[0], 1
    for operator, operand in zip(signs, operands[1:], strict=True):
        shown += f"{spelled[operator]}{operand}"
        if operator == "*":
            product *= operand
        else:
            total, product, sign = total + sign * product, operand, 1 if operator == "+" else -1
    answer = total + sign * product
    return Question(ask(rng, language, _ARITHMETIC, "number", sum=shown), str(answer))


_SEQUENCE: Wordings = {
    "en": (
        "Which number comes next in the sequence {terms}, ...?",
        "The sequence goes {terms}. What is the next term?",
        "Continue the pattern by one term: {terms}, ?",
        "{terms}: what number follows?",
    ),
    "ja": (
        "数列 {terms} の次に来る数は何ですか。",
        "{terms} と続く数列があります。次の項を求めてください。",
        "規則を見つけて、□に入る数を答えてください。{terms}, □\n",
        "ある規則で数が並んでいます。{terms} の次は何でしょうか。",
    ),
}


def sequence(rng: Random, language: Language, difficulty: int) -> Question:
    """Rising by a step, falling by a step, a ratio, a rising step, each term the sum of two."""
    length = rng.choice((5, 6))
    terms = (_rising, _falling, _geometric, _quadratic, _additive)[difficulty - 1](rng, length + 1)
    shown = ", ".join(map(str, terms[:-1]))
    return Question(ask(rng, language, _SEQUENCE, "number", terms=shown), str(terms[-1]))


def _rising(rng: Random, length: int) -> list[int]:
    start, step = rng.randint(1, 60), rng.randint(2, 15)
    return [start + step * i for i in range(length)]


def _falling(rng: Random, length: int) -> list[int]:
    start, step = rng.randint(90, 400), rng.randint(6, 40)
    return [start - step * i for i in range(length)]


def _geometric(rng: Random, length: int) -> list[int]:
    start, ratio = rng.randint(2, 25), rng.randint(2, 5)
    return [start * ratio**i for i in range(length)]


def _quadratic(rng: Random, length: int) -> list[int]:
    start, step, rise = rng.randint(1, 50), rng.randint(1, 12), rng.randint(2, 9)
    return [start + step * i + rise * i * (i - 1) // 2 for i in range(length)]


def _additive(rng: Random, length: int) -> list[int]:
    terms = [rng.randint(2, 30), rng.randint(31, 60)]
    while len(terms) < length:
        terms.append(terms[-2] + terms[-1])
    return terms


_ROMAN_VALUES = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"),
    (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_ROMAN_BANDS = ((1, 39), (40, 99), (100, 399), (400, 999), (1000, 3999))
_TO_ROMAN: Wordings = {
    "en": (
        "Write {n} as a Roman numeral.",
        "How do you write {n} in Roman numerals?",
        "Turn the number {n} into Roman numerals.",
        "A clockmaker engraves {n} in Roman numerals. What does he engrave?",
    ),
    "ja": (
        "{n}をローマ数字で書いてください。",
        "{n}はローマ数字でどう表しますか。",
        "数字の{n}をローマ数字に直してください。",
        "時計職人が{n}をローマ数字で刻みます。何と刻みますか。",
    ),
}
_FROM_ROMAN: Wordings = {
    "en": (
        "What number is the Roman numeral {roman}?",
        "Write the Roman numeral {roman} as an ordinary number.",
        "An old stone carries the Roman numeral {roman}. Which number is it?",
        "Decode the Roman numeral {roman}.",
    ),
    "ja": (
        "ローマ数字の{roman}はいくつですか。",
        "ローマ数字{roman}を普通の数字に直してください。",
        "古い石碑にローマ数字で{roman}とあります。いくつを表していますか。",
        "ローマ数字{roman}を読み解いてください。",
    ),
}


def roman(rng: Random, language: Language, difficulty: int) -> Question:
    """To or from Roman numerals; larger numbers are harder."""
    n = rng.randint(*_ROMAN_BANDS[difficulty - 1])
    numeral, rest = "", n
    for value, letters in _ROMAN_VALUES:
        count, rest = divmod(rest, value)
        numeral += letters * count
    if rng.random() < 0.5:
        return Question(ask(rng, language, _TO_ROMAN, "word", n=n), numeral)
    return Question(ask(rng, language, _FROM_ROMAN, "number", roman=numeral), str(n))


_BASES: dict[Language, dict[int, str]] = {
    "en": {2: "binary", 8: "octal", 16: "hexadecimal"},
    "ja": {2: "2進数", 8: "8進数", 16: "16進数"},
}
_TO_BASE: Wordings = {
    "en": (
        "Write the decimal number {n} in {base}, without a prefix.",
        "Convert {n} from decimal to {base}, no prefix.",
        "What is decimal {n} in {base} notation (no prefix)?",
    ),
    "ja": (
        "10進数の{n}を{base}で表してください。接頭辞は付けません。",
        "10進数{n}を{base}に変換してください(接頭辞なし)。",
        "10進数で{n}という値を、接頭辞なしの{base}に直してください。",
    ),
}
_FROM_BASE: Wordings = {
    "en": (
        "Write the {base} number {n} in decimal.",
        "Convert {n} from {base} to decimal.",
        "What is {base} {n} in decimal notation?",
    ),
    "ja": (
        "{base}の{n}を10進数で表してください。",
        "{base}{n}を10進数に変換してください。",
        "{base}で{n}と書かれる値を、10進数に直してください。",
    ),
}


def bases(rng: Random, language: Language, difficulty: int) -> Question:
    """Between decimal and binary, octal or hexadecimal; each level is two bits longer."""
    n = rng.randint(*_base_band(difficulty))
    base, name = rng.choice(list(_BASES[language].items()))
    digits = format(n, {2: "b", 8: "o", 16: "x"}[base])
    if rng.random() < 0.5:
        return Question(ask(rng, language, _TO_BASE, "word", n=n, base=name), digits)
    return Question(ask(rng, language, _FROM_BASE, "number", n=digits, base=name), str(n))


def _base_band(difficulty: int) -> tuple[int, int]:
    bits = 2 * difficulty + 3
    return (16 if difficulty == 1 else 1 << (bits - 2), (1 << bits) - 1)
