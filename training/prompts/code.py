"""Python programs whose output is asked for."""

from collections.abc import Callable
from random import Random

from training.prompts.prompt import Language, Question
from training.prompts.wording import Wordings, ask

_OUTPUT: Wordings = {
    "en": (
        "What does this Python program print?\n\n```python\n{code}\n```\n",
        "Read the following Python code and predict its output.\n\n```python\n{code}\n```\n",
        "Suppose you run this Python script. What appears on the screen?\n\n"
        "```python\n{code}\n```\n",
    ),
    "ja": (
        "次のPythonプログラムは何を出力しますか。\n\n```python\n{code}\n```\n",
        "以下のPythonコードを読んで、出力を予想してください。\n\n```python\n{code}\n```\n",
        "このPythonスクリプトを実行すると、画面に何が表示されますか。\n\n```python\n{code}\n```\n",
    ),
}


def code_output(rng: Random, language: Language, difficulty: int) -> Question:
    """A program with as many steps between its first and last line as the difficulty says."""
    code, printed = (_number_program if rng.random() < 0.55 else _list_program)(rng, difficulty)
    return Question(ask(rng, language, _OUTPUT, "output", code=code), printed)


type _NumberStep = Callable[[Random, str, int], tuple[str, int]]


def _scale(rng: Random, v: str, n: int) -> tuple[str, int]:
    a, b = rng.randint(2, 5), rng.randint(1, 9)
    return f"{v} = {v} * {a} + {b}", n * a + b


def _add(rng: Random, v: str, n: int) -> tuple[str, int]:
    a = rng.randint(3, 40)
    return (f"{v} += {a}", n + a) if rng.random() < 0.5 else (f"{v} -= {a}", n - a)


def _branch(rng: Random, v: str, n: int) -> tuple[str, int]:
    a, b = rng.randint(2, 4), rng.randint(3, 20)
    code = f"if {v} % {a} == 0:\n    {v} = {v} // {a}\nelse:\n    {v} = {v} + {b}"
    return code, n // a if n % a == 0 else n + b


def _loop(rng: Random, v: str, n: int) -> tuple[str, int]:
    times, a = rng.randint(3, 6), rng.randint(1, 5)
    return f"for i in range({times}):\n    {v} += i * {a}", n + a * times * (times - 1) // 2


_NUMBER_STEPS: tuple[_NumberStep, ...] = (_scale, _add, _branch, _loop)


def _number_program(rng: Random, steps: int) -> tuple[str, str]:
    name, n = rng.choice(("x", "n", "total", "value", "score")), rng.randint(3, 60)
    lines = [f"{name} = {n}"]
    for _ in range(steps):
        line, n = rng.choice(_NUMBER_STEPS)(rng, name, n)
        lines.append(line)
    return "\n".join([*lines, f"print({name})"]), str(n)


type _ListStep = Callable[[Random, str, list[int]], tuple[str, list[int]]]


def _append(rng: Random, v: str, xs: list[int]) -> tuple[str, list[int]]:
    a = rng.randint(1, 30)
    return f"{v}.append({a})", [*xs, a]


def _backwards(_: Random, v: str, xs: list[int]) -> tuple[str, list[int]]:
    return f"{v} = {v}[::-1]", xs[::-1]


def _sort(_: Random, v: str, xs: list[int]) -> tuple[str, list[int]]:
    return f"{v} = sorted({v})", sorted(xs)


def _map(rng: Random, v: str, xs: list[int]) -> tuple[str, list[int]]:
    a, b = rng.randint(2, 4), rng.randint(1, 9)
    return f"{v} = [e * {a} - {b} for e in {v}]", [e * a - b for e in xs]


def _behead(_: Random, v: str, xs: list[int]) -> tuple[str, list[int]]:
    return f"{v} = {v}[1:]", xs[1:]


_LIST_STEPS: tuple[_ListStep, ...] = (_append, _backwards, _sort, _map, _behead)
_VIEWS: tuple[tuple[str, Callable[[list[int]], int]], ...] = (
    ("sum({v})", sum),
    ("max({v})", max),
    ("{v}[0]", lambda xs: xs[0]),
    ("{v}[-1]", lambda xs: xs[-1]),
)


def _list_program(rng: Random, steps: int) -> tuple[str, str]:
    name = rng.choice(("xs", "items", "data", "numbers"))
    xs = [rng.randint(1, 30) for _ in range(rng.randint(6, 7))]
    lines = [f"{name} = {xs}"]
    for _ in range(steps):
        line, xs = rng.choice(_LIST_STEPS)(rng, name, xs)
        lines.append(line)
    shown, view = rng.choice(_VIEWS)
    return "\n".join([*lines, f"print({shown.format(v=name)})"]), str(view(xs))
