"""The solvers and the generators check each other: they share nothing but the tables of facts."""

import pytest

from tests.local.solvers import SOLVERS, solve
from training.prompts import KINDS, LANGUAGES, generate

SEEDS = (0, 1, 2, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_prompt_is_solved_from_its_text_alone(seed: int) -> None:
    for prompt in generate(900, LANGUAGES, seed):
        solution = solve(prompt.text)
        assert solution is not None, prompt
        assert (
            solution.category,
            solution.language,
            solution.difficulty,
            solution.answer,
        ) == (prompt.category, prompt.language, prompt.difficulty, prompt.answer), prompt


def test_exactly_one_solver_takes_each_prompt() -> None:
    for prompt in generate(900, LANGUAGES, 9):
        takers = [name for name, solver in SOLVERS.items() if solver(prompt.text)]
        assert takers == [prompt.category], prompt


def test_there_is_a_solver_for_every_kind() -> None:
    assert list(SOLVERS) == list(KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello!",
        "東京から大阪まで新幹線でどのくらいかかりますか。",
        "Write a friendly message about gardening to a friend.",
        "What is love?",
        "Explain how number sequences work.",
        "```\nprint(1)\n```",
        "仕事の熱意を取り戻すためのアイデアを5つ挙げてください。",
        "Is Paris the nicest capital of them all?",
        "Sort your desk: first the pens.",
    ],
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert solve(text) is None


def test_answers_known_by_heart() -> None:
    known = {
        "What is 7 + 3 * 5? Answer with the number only.": "22",
        "葵さんはうそつきだとわかっています。葵さんは「健さんはうそつきだ」と言いました。": "1",
        "Decode the Roman numeral MCMXCIV.": "1994",
        "2024年2月28日の2日後は何年何月何日ですか。": "2024-03-01",
        "Convert 255 from decimal to hexadecimal, no prefix.": "ff",
        "2, 3, 5, 8, 13, 21: what number follows?": "34",
        "フランス、日本の首都を、この順番で挙げてください。": "パリ, 東京",
    }
    assert {text: solution.answer for text in known if (solution := solve(text))} == known
