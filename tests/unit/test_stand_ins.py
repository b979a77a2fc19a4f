"""The stand-in models are as good as their profile says, no more and no less."""

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from random import Random
from statistics import mean
from typing import Any

import boto3
import pytest

from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Catalog
from tests.local.bedrock import LoopbackBedrock, Reply
from tests.local.skills import GROUP_OF
from tests.local.solvers import solve
from tests.local.solvers.mistakes import mistake
from tests.local.stack import CATALOG
from tests.local.stand_ins import PROFILES, Profile, expected_reward, profile
from training.prompts import KINDS, LANGUAGES, Prompt, generate, is_correct

SHIPPED = read_catalog(CATALOG.read_bytes(), place=str(CATALOG))
PROMPTS = generate(1800, LANGUAGES, seed=21)


@cache
def the(name: str) -> Profile:
    return profile(name, SHIPPED)


def ask(responder: Profile, model: str, text: str, **config: int) -> Reply:
    request: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": text}]}]}
    if config:
        request["inferenceConfig"] = config
    return responder(SHIPPED.candidates[model].model_id, request)


@cache
def replies(name: str, model: str) -> list[Reply]:
    return [ask(the(name), model, prompt.text) for prompt in PROMPTS]


def true_mean(name: str, model: str, prompts: Sequence[Prompt] = PROMPTS) -> float:
    return mean(expected_reward(the(name), model, prompt) for prompt in prompts)


@pytest.mark.parametrize("model", SHIPPED.names)
@pytest.mark.parametrize("name", PROFILES)
def test_accuracy_is_the_expected_reward_within_three_standard_errors(
    name: str, model: str
) -> None:
    skills = [expected_reward(the(name), model, prompt) for prompt in PROMPTS]
    right = [
        is_correct(prompt.answer, reply.text)
        for prompt, reply in zip(PROMPTS, replies(name, model), strict=True)
    ]
    standard_error = math.sqrt(sum(p * (1 - p) for p in skills)) / len(PROMPTS)
    assert abs(mean(right) - mean(skills)) < 3 * standard_error


def test_the_same_prompt_gets_the_same_answer() -> None:
    again = profile("specialists", SHIPPED)
    for model in SHIPPED.names:
        for prompt, before in zip(PROMPTS[:90], replies("specialists", model), strict=False):
            assert ask(again, model, prompt.text) == before


def test_a_weaker_model_is_sometimes_right_where_the_best_is_wrong() -> None:
    """Part of the luck is each model's own: the best does not answer all that others can."""
    rescued = sum(
        is_correct(prompt.answer, weak.text) and not is_correct(prompt.answer, strong.text)
        for prompt, weak, strong in zip(
            PROMPTS, replies("tiers", "haiku"), replies("tiers", "sonnet"), strict=True
        )
    )
    assert 20 < rescued < 120


@pytest.mark.parametrize("category", KINDS)
def test_a_mistake_is_never_right_and_never_empty(category: str) -> None:
    for number, prompt in enumerate(generate(100, LANGUAGES, 6, [category])):
        solution = solve(prompt.text)
        assert solution is not None
        wrong = mistake(solution, Random(number))
        assert wrong.strip()
        assert not is_correct(prompt.answer, wrong)


def test_mistakes_look_like_answers() -> None:
    """The honest "I do not know" is for unknown texts; known ones get a wrong answer."""
    for name in PROFILES:
        for model in SHIPPED.names:
            given = [reply.text for reply in replies(name, model)]
            assert not {"I do not know.", "わかりません。"} & set(given)


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Tell me a story.", "I do not know."), ("お話を聞かせてください。", "わかりません。")],
)
def test_an_unknown_text_gets_an_honest_short_answer(text: str, answer: str) -> None:
    for model in SHIPPED.names:
        assert ask(the("tiers"), model, text).text == answer


def test_the_last_user_text_is_answered_and_all_of_it_is_paid_for() -> None:
    prompt = PROMPTS[0]
    short = ask(the("one_best"), "haiku", prompt.text)
    long = the("one_best")(
        SHIPPED.candidates["haiku"].model_id,
        {
            "system": [{"text": "Be brief."}],
            "messages": [
                {"role": "user", "content": [{"text": PROMPTS[1].text}]},
                {"role": "assistant", "content": [{"text": "Hm."}]},
                {"role": "user", "content": [{"text": prompt.text}]},
            ],
        },
    )
    assert long.text == short.text
    assert long.input_tokens > short.input_tokens


# Lengths and prices


def test_models_differ_in_length_and_price_but_not_in_what_is_scored() -> None:
    lengths = {
        model: mean(reply.output_tokens for reply in replies("tiers", model))
        for model in SHIPPED.names
    }
    ranked = sorted(lengths, key=lambda model: lengths[model])
    assert ranked == ["haiku", "nova-lite", "llama-70b", "sonnet"]
    for shorter, longer in pairwise(ranked):
        assert lengths[longer] > 1.2 * lengths[shorter]
    assert len({reply.output_tokens for reply in replies("tiers", "sonnet")}) > 50


def test_harder_prompts_take_longer() -> None:
    tokens = defaultdict(list)
    for prompt, reply in zip(PROMPTS, replies("tiers", "sonnet"), strict=True):
        tokens[prompt.difficulty].append(reply.output_tokens)
    means = [mean(tokens[difficulty]) for difficulty in sorted(tokens)]
    assert means == sorted(means)


def test_only_a_candidate_that_can_reason_shows_its_reasoning() -> None:
    for model, candidate in SHIPPED.candidates.items():
        shown = {bool(reply.reasoning) for reply in replies("tiers", model)}
        assert shown == {candidate.capabilities.reasoning}


def test_short_room_cuts_the_reasoning_first_and_then_the_answer() -> None:
    prompt = next(p for p in PROMPTS if p.category == "json_edit" and p.difficulty == 5)
    whole = ask(the("tiers"), "sonnet", prompt.text)
    narrow = ask(the("tiers"), "sonnet", prompt.text, maxTokens=100)
    assert (narrow.text, narrow.output_tokens, narrow.stop_reason) == (whole.text, 100, "end_turn")
    tiny = ask(the("tiers"), "sonnet", prompt.text, maxTokens=5)
    assert (tiny.output_tokens, tiny.stop_reason, tiny.reasoning) == (5, "max_tokens", "")
    assert whole.text.startswith(tiny.text)
    assert len(tiny.text) < len(whole.text)


# What each profile promises


def best_by(name: str, key: Any) -> float:
    """Return the mean reward of the best choice per group of prompts."""
    groups = defaultdict(list)
    for prompt in PROMPTS:
        groups[key(prompt)].append(prompt)
    best = [
        max(true_mean(name, model, group) for model in SHIPPED.names) * len(group)
        for group in groups.values()
    ]
    return sum(best) / len(PROMPTS)


def test_specialists_reward_a_category_router() -> None:
    singles = {model: true_mean("specialists", model) for model in SHIPPED.names}
    assert best_by("specialists", lambda p: p.category) > max(singles.values()) + 0.08
    assert all(0.45 < single < 0.9 for single in singles.values())
    assert max(singles.values()) - min(singles.values()) < 0.3


def test_every_specialist_is_best_at_something() -> None:
    english = [p for p in PROMPTS if p.language == "en"]
    winners = {
        max(SHIPPED.names, key=lambda m: true_mean("specialists", m, chosen))
        for group in set(GROUP_OF.values())
        if (chosen := [p for p in english if GROUP_OF[p.category] == group])
    }
    assert winners == set(SHIPPED.names)


def test_llama_is_weak_in_japanese_alone() -> None:
    by_language = {
        language: {
            model: true_mean("specialists", model, [p for p in PROMPTS if p.language == language])
            for model in SHIPPED.names
        }
        for language in LANGUAGES
    }
    loss = {m: by_language["en"][m] - by_language["ja"][m] for m in SHIPPED.names}
    assert loss["llama-70b"] > 0.2
    assert all(abs(loss[m]) < 0.06 for m in SHIPPED.names if m != "llama-70b")


def test_in_tiers_the_dearer_is_better_everywhere_and_the_cheap_are_close_on_easy_prompts() -> None:
    by_price = ["haiku", "llama-70b", "nova-lite", "sonnet"]
    for prompt in PROMPTS:
        skills = [expected_reward(the("tiers"), model, prompt) for model in by_price]
        assert skills == sorted(skills)
        assert len(set(skills)) == len(skills)
        if prompt.difficulty == 1:
            assert skills[-1] - skills[0] < 0.05
        if prompt.difficulty == 5:
            assert skills[-1] - skills[0] > 0.3


def test_in_one_best_a_single_model_wins_everywhere_and_is_the_cheapest() -> None:
    best = SHIPPED.cheapest()
    for prompt in PROMPTS:
        skills = {m: expected_reward(the("one_best"), m, prompt) for m in SHIPPED.names}
        others = [skill for model, skill in skills.items() if model != best]
        assert skills[best] - max(others) > 0.1
    costs = {
        model: sum(
            candidate.cost_usd(reply.input_tokens, reply.output_tokens)
            for reply in replies("one_best", model)
        )
        for model, candidate in SHIPPED.candidates.items()
    }
    assert min(costs, key=lambda model: costs[model]) == best


@pytest.mark.parametrize("name", PROFILES)
def test_skills_are_chances(name: str) -> None:
    for prompt in PROMPTS:
        for model in SHIPPED.names:
            assert 0 < expected_reward(the(name), model, prompt) < 1


def test_unknown_profiles_and_strangers_are_named() -> None:
    with pytest.raises(ValueError, match="no profile 'geniuses'; profiles: specialists, tiers"):
        profile("geniuses", SHIPPED)
    stranger = Catalog({"opus": next(iter(SHIPPED.candidates.values()))})
    with pytest.raises(ValueError, match="no specialist opus"):
        profile("specialists", stranger)


def test_it_answers_boto3_through_the_loopback() -> None:
    prompt = PROMPTS[4]
    with LoopbackBedrock(the("specialists")) as bedrock:
        client = boto3.client(
            "bedrock-runtime",
            region_name="ap-northeast-1",
            endpoint_url=bedrock.endpoint_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        answer = client.converse(
            modelId=SHIPPED.candidates["sonnet"].model_id,
            messages=[{"role": "user", "content": [{"text": prompt.text}]}],
        )
        client.close()
    blocks = answer["output"]["message"]["content"]
    assert blocks[-1]["text"] == ask(the("specialists"), "sonnet", prompt.text).text
    assert "reasoningContent" in blocks[0]
