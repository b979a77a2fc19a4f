"""Solvers of string operations, counting and sorting."""

import re

from tests.local.solvers.solution import Solution, first_group, language_of

_STEP = re.compile(r"\(\d\) ")
_MORE = re.compile(r'add "(\w+)"|末尾に「(\w+)」')


def strings(text: str) -> Solution | None:
    if "(1) " not in text:
        return None
    head, *steps = _STEP.split(text)
    word = re.findall(r'"(\w+)"|「(\w+)」', head)[-1]
    letters = list(word[0] or word[1])
    for step in steps:
        letters = _apply(step, letters)
    return Solution("strings", language_of(text), len(steps), "".join(letters))


def _apply(step: str, letters: list[str]) -> list[str]:
    if added := _MORE.match(step):
        return [*letters, *(added[1] or added[2])]
    if re.match(r"write it backwards|逆順", step):
        return [*reversed(letters)]
    if re.match(r"remove the first|先頭の文字を消す", step):
        return letters[1:]
    if re.match(r"remove the last|末尾の文字を消す", step):
        return letters[:-1]
    if re.match(r"swap|先頭と末尾", step):
        return [letters[-1], *letters[1:-1], letters[0]]
    if re.match(r"write the last letter twice|末尾の文字を二重", step):
        return [*letters, letters[-1]]
    assert re.match(r"move the first|先頭の文字を末尾に移す", step), step
    return [*letters[1:], letters[0]]


_COUNTS = (
    r'letter "(?P<one>\w)" (?:appear )?in "(?P<many>\w+)"',
    r'string "(?P<many>\w+)", how often does "(?P<one>\w)"',
    r'times is "(?P<one>\w+)" in this list: (?P<many>[^?]+)\?',
    r'how often "(?P<one>\w+)" was written down here: (?P<many>[^.]+)\.',
    r'list reads: (?P<many>[^.]+)\. How many entries are "(?P<one>\w+)"',
    r"「(?P<many>\w+)」(?:の中|に含まれる|に)に?「(?P<one>\w)」",
    r"リストに「(?P<one>\w+)」は何回出てきますか。(?P<many>[^。]+)。",
    r"(?P<many>[^。]+)。この中に「(?P<one>\w+)」",
    r"買い物メモに(?P<many>[^。]+)と書いてあります。「(?P<one>\w+)」",
)


def counting(text: str) -> Solution | None:
    for pattern in _COUNTS:
        if found := re.search(pattern, text):
            one, many = found["one"], re.split(r"[,、] ?", found["many"])
            items = list(many[0]) if len(many) == 1 else many
            hits = sum(item == one for item in items)
            return Solution("counting", language_of(text), len(items) // 6, str(hits))
    return None


_SORTED = (
    r"(?:smallest|largest|alphabetically|alphabetical order): ([^.]+)\.",
    r"(?:Put|Put the words) ((?:\w+, )+\w+) in (?:ascending|descending|alphabetical|reverse)",
    r"the numbers ((?:\w+, )+\w+) so that",
    r"dictionary list ([^?]+)\?",
    r"順に並べてください。([^。]+、[^。]+)。",
    r"(?:^|。)([^。]+)を(?:昇順|降順|五十音順|五十音の逆順)に並べ替え",
    r"数字の([^。]+)を、(?:小さい|大きい)もの",
    r"辞書では、([^。]+)はどの順",
)
_FALLING = re.compile(
    r"largest to smallest|descending|largest comes first|reverse|大きい|降順|逆順"
)


def sorting(text: str) -> Solution | None:
    shown = first_group(_SORTED, text)
    if shown is None:
        return None
    items = re.split(r"[,、] ?", shown)
    numeric = all(item.isdecimal() for item in items)
    ordered = sorted(items, key=lambda item: (int(item), "") if numeric else (0, item))
    if _FALLING.search(text):
        ordered.reverse()
    return Solution("sorting", language_of(text), (len(items) - 1) // 2, ", ".join(ordered))
