"""Strings taken apart, things counted, lists sorted."""

from collections.abc import Callable, Mapping
from random import Random

from training.prompts.prompt import Language, Question
from training.prompts.tables import KANA_WORDS, LATIN_WORDS
from training.prompts.wording import Wordings, ask

_STEPS: Mapping[str, tuple[Callable[[str, str], str], Mapping[Language, str]]] = {
    "reverse": (
        lambda s, _: s[::-1],
        {"en": "write it backwards", "ja": "逆順に並べ替える"},
    ),
    "drop first": (
        lambda s, _: s[1:],
        {"en": "remove the first letter", "ja": "先頭の文字を消す"},
    ),
    "drop last": (
        lambda s, _: s[:-1],
        {"en": "remove the last letter", "ja": "末尾の文字を消す"},
    ),
    "swap ends": (
        lambda s, _: s[-1] + s[1:-1] + s[0],
        {"en": "swap the first and the last letter", "ja": "先頭と末尾の文字を入れ替える"},
    ),
    "double": (
        lambda s, _: s + s[-1],
        {"en": "write the last letter twice", "ja": "末尾の文字を二重にする"},
    ),
    "rotate": (
        lambda s, _: s[1:] + s[0],
        {"en": "move the first letter to the end", "ja": "先頭の文字を末尾に移す"},
    ),
    "append": (
        lambda s, more: s + more,
        {"en": 'add "{more}" at the end', "ja": "末尾に「{more}」を付け足す"},
    ),
}
_STRINGS: Wordings = {
    "en": (
        'Take the word "{word}" and do the following in order: {steps}. What string do you get?',
        'Start from the letters "{word}". {steps}. What is the result?',
        'Here is a word: "{word}". Apply these steps one after another. {steps}.',
    ),
    "ja": (
        "「{word}」という文字列に、次の操作を順番に行ってください。{steps}。",
        "文字列「{word}」に、{steps}、という操作を順に行います。どんな文字列になりますか。",
        "単語「{word}」を次の手順で書き換えてください。{steps}。",
    ),
}


def strings(rng: Random, language: Language, difficulty: int) -> Question:
    """A word and as many operations on its letters as the difficulty says."""
    kana = language == "ja" and rng.random() < 0.6
    word = rng.choice([w for w in (KANA_WORDS if kana else LATIN_WORDS) if len(w) >= 4])
    told, string = [], word
    for number in range(1, difficulty + 1):
        names = [name for name in _STEPS if len(string) > 3 or not name.startswith("drop")]
        apply, wording = _STEPS[rng.choice(names)]
        more = "".join(rng.sample("かきすとなみ" if kana else "bkmprt", 2))
        string = apply(string, more)
        told.append(f"({number}) {wording[language].format(more=more)}")
    gap = " " if language == "en" else "、"
    text = ask(rng, language, _STRINGS, "string", word=word, steps=gap.join(told))
    return Question(text, string)


_LETTERS: Wordings = {
    "en": (
        'How many times does the letter "{one}" appear in "{many}"?',
        'Count the letter "{one}" in "{many}".',
        'In the string "{many}", how often does "{one}" occur?',
    ),
    "ja": (
        "「{many}」の中に「{one}」は何回出てきますか。",
        "「{many}」に含まれる「{one}」の数を数えてください。",
        "文字列「{many}」に「{one}」はいくつありますか。",
    ),
}
_ITEMS: Wordings = {
    "en": (
        'How many times is "{one}" in this list: {many}?',
        'Count how often "{one}" was written down here: {many}.',
        'A basket list reads: {many}. How many entries are "{one}"?',
    ),
    "ja": (
        "次のリストに「{one}」は何回出てきますか。{many}。",
        "{many}。この中に「{one}」はいくつありますか。",
        "買い物メモに{many}と書いてあります。「{one}」は何個ありますか。",
    ),
}
_FRUIT: Mapping[Language, tuple[str, ...]] = {
    "en": ("apple", "pear", "plum", "cherry", "melon", "grape"),
    "ja": ("りんご", "なし", "もも", "ぶどう", "みかん", "メロン"),
}


def counting(rng: Random, language: Language, difficulty: int) -> Question:
    """Letters of a string or entries of a list; a longer one is harder."""
    length = 6 * difficulty + rng.randrange(6)
    if rng.random() < 0.5:
        letters = "あかさたなはまら" if language == "ja" and rng.random() < 0.5 else "abdegnos"
        many = rng.choices(rng.sample(letters, 4), k=length)
        wordings, joiner = _LETTERS, ""
    else:
        many = rng.choices(rng.sample(_FRUIT[language], 4), k=length)
        wordings, joiner = _ITEMS, ", " if language == "en" else "、"
    one = rng.choice(many)
    text = ask(rng, language, wordings, "number", one=one, many=joiner.join(many))
    return Question(text, str(many.count(one)))


_SORT: Mapping[tuple[bool, bool], Wordings] = {
    (True, True): {
        "en": (
            "Sort these numbers from smallest to largest: {items}.",
            "Put {items} in ascending order.",
            "Arrange the numbers {items} so that the smallest comes first.",
        ),
        "ja": (
            "次の数を小さい順に並べてください。{items}。",
            "{items}を昇順に並べ替えてください。",
            "数字の{items}を、小さいものから順に並べるとどうなりますか。",
        ),
    },
    (True, False): {
        "en": (
            "Sort these numbers from largest to smallest: {items}.",
            "Put {items} in descending order.",
            "Arrange the numbers {items} so that the largest comes first.",
        ),
        "ja": (
            "次の数を大きい順に並べてください。{items}。",
            "{items}を降順に並べ替えてください。",
            "数字の{items}を、大きいものから順に並べるとどうなりますか。",
        ),
    },
    (False, True): {
        "en": (
            "Sort these words alphabetically: {items}.",
            "Put the words {items} in alphabetical order.",
            "In what order would a dictionary list {items}?",
        ),
        "ja": (
            "次の言葉を五十音順に並べてください。{items}。",
            "{items}を五十音順に並べ替えてください。",
            "辞書では、{items}はどの順に載っていますか。",
        ),
    },
    (False, False): {
        "en": (
            "Sort these words in reverse alphabetical order: {items}.",
            "Put the words {items} in reverse alphabetical order, from Z to A.",
        ),
        "ja": (
            "次の言葉を五十音の逆順に並べてください。{items}。",
            "{items}を五十音の逆順に並べ替えてください。",
        ),
    },
}


def sorting(rng: Random, language: Language, difficulty: int) -> Question:
    """Numbers or words; each level has two items more."""
    size = 2 * difficulty + 1 + rng.randrange(2)
    rising = rng.random() < 0.6
    numeric = rng.random() < 0.5
    if numeric:
        numbers = rng.sample(range(2, 10 ** (2 + difficulty // 2)), size)
        items = [str(n) for n in numbers]
        answer = [str(n) for n in sorted(numbers, reverse=not rising)]
    else:
        # The table's kana have one order only: the order of their codes.
        items = rng.sample(LATIN_WORDS if language == "en" else KANA_WORDS, size)
        answer = sorted(items, reverse=not rising)
    shown = (", " if language == "en" else "、").join(items)
    text = ask(rng, language, _SORT[numeric, rising], "list", items=shown)
    return Question(text, ", ".join(answer))
