"""Liars and truth tellers, and who is the tallest."""

from collections.abc import Mapping
from itertools import pairwise
from random import Random

from training.prompts.prompt import Language, Question
from training.prompts.wording import Wordings, ask

_NAMES: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "Anna", "Ben", "Carl", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivan", "June", "Kurt",
        "Lena", "Milo", "Nora", "Otto", "Pia",
    ),
    "ja": (
        "葵", "健", "美咲", "大輔", "彩", "翔", "直樹", "由美", "亮", "恵", "太郎", "花子", "誠",
        "陽子", "剛", "結衣",
    ),
}  # fmt: skip
_LIARS: Wordings = {
    "en": (
        "On an island everybody either always tells the truth or always lies. {story} "
        "How many of the {n} people are liars?",
        "In a strange village each person is either a truth-teller or a liar. {story} "
        "How many liars are there among these {n}?",
        "Every one of {n} suspects always lies or never lies. {story} How many of them are liars?",
    ),
    "ja": (
        "ある島の住人は、いつも本当のことを言う正直者か、必ずうそをつくうそつきのどちらかです。{story}"
        "この{n}人のうち、うそつきは何人ですか。",
        "不思議な村では、誰もが正直者かうそつきのどちらかです。{story}"
        "{n}人の中にうそつきは何人いますか。",
        "容疑者{n}人は、それぞれ正直者かうそつきのどちらかです。{story}うそつきは全部で何人でしょうか。",
    ),
}
_KNOWN: Mapping[Language, Mapping[bool, str]] = {
    "en": {True: "It is known that {a} tells the truth.", False: "It is known that {a} is a liar."},
    "ja": {
        True: "{a}さんは正直者だとわかっています。",
        False: "{a}さんはうそつきだとわかっています。",
    },
}
_CLAIM: Mapping[Language, Mapping[bool, str]] = {
    "en": {True: '{a} says: "{b} tells the truth."', False: '{a} says: "{b} is a liar."'},
    "ja": {
        True: "{a}さんは「{b}さんは正直者だ」と言いました。",
        False: "{a}さんは「{b}さんはうそつきだ」と言いました。",
    },
}


def liars(rng: Random, language: Language, difficulty: int) -> Question:
    """One person is known; as many statements as the difficulty says settle the others."""
    people = rng.sample(_NAMES[language], difficulty + 1)
    honest = {people[0]: rng.random() < 0.5}
    told = [_KNOWN[language][honest[people[0]]].format(a=people[0])]
    for person in people[1:]:
        speaker = rng.choice(list(honest))
        claim = rng.random() < 0.4
        told.append(_CLAIM[language][claim].format(a=speaker, b=person))
        honest[person] = claim == honest[speaker]
    story = (" " if language == "en" else "").join(told)
    text = ask(rng, language, _LIARS, "number", story=story, n=len(people))
    return Question(text, str(sum(not truth for truth in honest.values())))


_SCALES: Mapping[Language, tuple[tuple[str, str, str, str], ...]] = {
    "en": (
        ("taller", "shorter", "tallest", "shortest"),
        ("older", "younger", "oldest", "youngest"),
        ("faster", "slower", "fastest", "slowest"),
        ("richer", "poorer", "richest", "poorest"),
    ),
    "ja": (
        ("背が高い", "背が低い", "背が高い", "背が低い"),
        ("足が速い", "足が遅い", "足が速い", "足が遅い"),
        ("部屋が広い", "部屋が狭い", "部屋が広い", "部屋が狭い"),
        ("荷物が重い", "荷物が軽い", "荷物が重い", "荷物が軽い"),
    ),
}
_COMPARED: Mapping[Language, str] = {
    "en": "{a} is {than} than {b}.",
    "ja": "{a}さんは{b}さんより{than}です。",
}
_PLACES: Mapping[Language, tuple[str, str, str]] = {
    "en": ("the {most}", "the second {most}", "the third {most}"),
    "ja": ("いちばん{most}", "2番目に{most}", "3番目に{most}"),
}
_WHO: Wordings = {
    "en": (
        "{story} Who is {place}?",
        "We compare {n} people. {story} Which of them is {place}?",
        "Here is what we know about {n} friends. {story} Name the one who is {place}.",
    ),
    "ja": (
        "{story}{place}のは誰ですか。敬称は付けないでください。",
        "{n}人を比べます。{story}{place}人の名前を敬称なしで挙げてください。",
        "友人{n}人について次のことがわかっています。{story}{place}のは誰でしょうか(敬称略)。",
    ),
}


def ordering(rng: Random, language: Language, difficulty: int) -> Question:
    """Neighbours in an order of `difficulty` + 2 people are compared, out of order."""
    people = rng.sample(_NAMES[language], difficulty + 2)
    more, less, most, least = rng.choice(_SCALES[language])
    told = []
    for above, below in pairwise(people):
        a, b, than = (above, below, more) if rng.random() < 0.5 else (below, above, less)
        told.append(_COMPARED[language].format(a=a, b=b, than=than))
    rng.shuffle(told)
    at = rng.randrange(min(3, len(people) - 1))
    from_top = rng.random() < 0.5
    place = _PLACES[language][at].format(most=most if from_top else least)
    story = (" " if language == "en" else "").join(told)
    text = ask(rng, language, _WHO, "word", story=story, place=place, n=len(people))
    return Question(text, people[at] if from_top else people[-1 - at])
