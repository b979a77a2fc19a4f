"""Solvers of liar puzzles, by trying all worlds, and of orders, by counting who is above whom."""

import re
from itertools import product

from tests.local.solvers.solution import Solution, language_of

_KNOWN = (
    r"known that (?P<a>\w+) (?P<what>tells the truth|is a liar)",
    r"(?P<a>\w+?)さんは(?P<what>正直者|うそつき)だとわかって",
)
_CLAIMS = (
    r'(\w+) says: "(\w+) (tells the truth|is a liar)\."',
    r"(\w+?)さんは「(\w+?)さんは(正直者|うそつき)だ」",
)
_TRUTH = ("tells the truth", "正直者")


def liars(text: str) -> Solution | None:
    known = next((found for p in _KNOWN if (found := re.search(p, text))), None)
    if known is None:
        return None
    claims = [
        (a, b, what in _TRUTH) for pattern in _CLAIMS for a, b, what in re.findall(pattern, text)
    ]
    people = sorted({known["a"]} | {name for a, b, _ in claims for name in (a, b)})
    worlds = []
    for honest in product((True, False), repeat=len(people)):
        world = dict(zip(people, honest, strict=True))
        if world[known["a"]] == (known["what"] in _TRUTH) and all(
            world[a] == (world[b] == claim) for a, b, claim in claims
        ):
            worlds.append(world)
    (world,) = worlds
    return Solution("liars", language_of(text), len(claims), str(list(world.values()).count(False)))


_COMPARED = (
    r"(\w+) is (\w+er) than (\w+)\.",
    r"(?:^|。)(\w+?)さんは(\w+?)さんより(\w+?)です",
)
_UP = ("taller", "older", "faster", "richer", "背が高い", "足が速い", "部屋が広い", "荷物が重い")
_PLACE = re.compile(
    r"the (?:(?P<en_nth>second|third) )?(?P<en>\w+est)\b|"
    r"(?:いちばん|(?P<ja_nth>\d)番目に)(?P<ja>\w+?)(?:のは誰|人の名前)"
)
_UPMOST = ("tallest", "oldest", "fastest", "richest", *_UP)
_NTH = {None: 1, "second": 2, "third": 3, "2": 2, "3": 3}


def ordering(text: str) -> Solution | None:
    place = _PLACE.search(text)
    pairs = [(a, b) if than in _UP else (b, a) for a, than, b in re.findall(_COMPARED[0], text)] + [
        (a, b) if than in _UP else (b, a) for a, b, than in re.findall(_COMPARED[1], text)
    ]
    if place is None or not pairs:
        return None
    people = sorted({name for pair in pairs for name in pair})
    ranked = sorted(people, key=lambda name: len(_above(name, pairs)))
    if (place["en"] or place["ja"]) not in _UPMOST:
        ranked.reverse()
    answer = ranked[_NTH[place["en_nth"] or place["ja_nth"]] - 1]
    rivals = tuple(name for name in people if name != answer)
    return Solution("ordering", language_of(text), len(pairs) - 1, answer, rivals)


def _above(name: str, pairs: list[tuple[str, str]]) -> set[str]:
    direct = {a for a, b in pairs if b == name}
    return direct.union(*(_above(other, pairs) for other in direct))
