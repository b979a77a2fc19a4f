"""Small tables by heart: words in two languages, capitals, chemical elements."""

from random import Random

from training.prompts.prompt import Language, Question
from training.prompts.tables import CAPITALS, ELEMENTS, WORDS
from training.prompts.wording import Wordings, ask

# One wording for a single item, another for several: "the capitals of France" would be odd.
_INTO_JAPANESE: tuple[Wordings, Wordings] = (
    {
        "en": (
            'Translate the English word "{items}" into Japanese kanji.',
            'What is "{items}" in Japanese, written in kanji?',
            'How do you write "{items}" in Japanese kanji?',
        ),
        "ja": (
            "英単語「{items}」を日本語に訳し、漢字で書いてください。",
            "英語の「{items}」を漢字の日本語で言うと何ですか。",
            "「{items}」という英単語の和訳を漢字で教えてください。",
        ),
    },
    {
        "en": (
            "Translate these English words into Japanese kanji, in this order: {items}.",
            "Give the Japanese words, in kanji, for {items}, in the same order.",
        ),
        "ja": (
            "次の英単語を、この順番のまま漢字の日本語に訳してください。{items}。",
            "英単語{items}を日本語に訳し、同じ順に漢字で書いてください。",
        ),
    },
)
_INTO_ENGLISH: tuple[Wordings, Wordings] = (
    {
        "en": (
            'Translate the Japanese word "{items}" into English.',
            'What does the Japanese word "{items}" mean in English?',
            'Which English word is "{items}"? Give the singular.',
        ),
        "ja": (
            "「{items}」を英語の一単語に訳してください。",
            "日本語の「{items}」は英語で何と言いますか。",
            "「{items}」に当たる英単語を単数形で教えてください。",
        ),
    },
    {
        "en": (
            "Translate these Japanese words into English, in this order: {items}.",
            "Give the English words, in the singular, for {items}, in the same order.",
        ),
        "ja": (
            "次の日本語を、この順番のまま英語に訳してください。{items}。",
            "{items}に当たる英単語を、同じ順に単数形で書いてください。",
        ),
    },
)


def translation(rng: Random, language: Language, difficulty: int) -> Question:
    """As many words as the difficulty says, from English or from Japanese."""
    pairs = rng.sample(WORDS, difficulty)
    into_japanese = rng.random() < 0.5
    asked = [english if into_japanese else japanese for english, japanese in pairs]
    answer = [japanese if into_japanese else english for english, japanese in pairs]
    return _ask(rng, language, _INTO_JAPANESE if into_japanese else _INTO_ENGLISH, asked, answer)


_CAPITAL: tuple[Wordings, Wordings] = (
    {
        "en": (
            "What is the capital of {items}?",
            "Name the capital city of {items}.",
            "I am flying to the capital of {items}. Which city is that?",
            "Which city is the seat of government and capital of {items}?",
        ),
        "ja": (
            "{items}の首都はどこですか。",
            "{items}の首都の名前を教えてください。",
            "{items}の首都へ旅行します。行き先の都市はどこでしょうか。",
            "地理の問題です。{items}の首都を答えてください。",
        ),
    },
    {
        "en": (
            "What are the capitals of {items}, in this order?",
            "Name the capital cities of {items}, in the order given.",
            "A tour visits the capitals of {items}. List these cities in that order.",
        ),
        "ja": (
            "{items}の首都を、この順番で挙げてください。",
            "次の国々の首都を順に教えてください。{items}。",
            "旅行で{items}の首都を順に訪れます。都市名を順番どおりに書いてください。",
        ),
    },
)


def capitals(rng: Random, language: Language, difficulty: int) -> Question:
    """The capitals of as many countries as the difficulty says."""
    rows = rng.sample(CAPITALS, difficulty)
    at = 0 if language == "en" else 2
    asked, answer = [row[at] for row in rows], [row[at + 1] for row in rows]
    return _ask(rng, language, _CAPITAL, asked, answer)


_SYMBOL: tuple[Wordings, Wordings] = (
    {
        "en": (
            "What is the chemical symbol of {items}?",
            "Which symbol stands for the element {items} in the periodic table?",
            "In chemistry, how is the element {items} abbreviated?",
        ),
        "ja": (
            "{items}の元素記号は何ですか。",
            "周期表で{items}を表す元素記号を教えてください。",
            "化学の問題です。{items}の元素記号を答えてください。",
        ),
    },
    {
        "en": (
            "What are the chemical symbols of {items}, in this order?",
            "Write the chemical symbols of the elements {items}, in the same order.",
        ),
        "ja": (
            "{items}の元素記号を、この順番で書いてください。",
            "次の元素の元素記号を順に教えてください。{items}。",
        ),
    },
)
_ATOMIC: tuple[Wordings, Wordings] = (
    {
        "en": (
            "What is the atomic number of {items}?",
            "How many protons does an atom of {items} have?",
        ),
        "ja": (
            "{items}の原子番号はいくつですか。",
            "{items}の原子は陽子をいくつ持っていますか。",
        ),
    },
    {
        "en": (
            "What are the atomic numbers of {items}, in this order?",
            "Write the atomic numbers of the elements {items}, in the same order.",
        ),
        "ja": (
            "{items}の原子番号を、この順番で書いてください。",
            "次の元素の原子番号を順に教えてください。{items}。",
        ),
    },
)


def elements(rng: Random, language: Language, difficulty: int) -> Question:
    """Symbols or atomic numbers of as many chemical elements as the difficulty says."""
    rows = rng.sample(ELEMENTS, difficulty)
    asked = [english if language == "en" else japanese for english, japanese, _, _ in rows]
    if rng.random() < 0.6:
        return _ask(rng, language, _SYMBOL, asked, [symbol for _, _, symbol, _ in rows])
    return _ask(rng, language, _ATOMIC, asked, [str(number) for _, _, _, number in rows])


def _ask(
    rng: Random,
    language: Language,
    wordings: tuple[Wordings, Wordings],
    asked: list[str],
    answer: list[str],
) -> Question:
    several = len(asked) > 1
    items = (", " if language == "en" else "、").join(asked)
    if language == "en" and several:
        items = " and ".join(items.rsplit(", ", 1))
    text = ask(rng, language, wordings[several], "list" if several else "word", items=items)
    return Question(text, ", ".join(answer))
