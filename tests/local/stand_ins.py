"""Stand-in models that really attempt the bundled prompts: they show the mechanism, not a gain.

A stand-in reads the last user text, solves it, and then damages the answer with probability
1 - skill. Skill depends on category, difficulty and language; luck is drawn from a digest of the
model and the text, so the same prompt always gets the same answer.

Answers are scored by exact match of the whole text, so what makes one model wordier than another
lies outside it: reasoning. A candidate that can reason sends it as a block of its own before the
answer; every candidate has it counted as output tokens and is paid for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import Any

from regroup.domain.catalog import Candidate, Catalog, count_scripts
from tests.local.converse import Reply, Request
from tests.local.skills import SKILLS, Skill
from tests.local.solvers import Solution, solve
from tests.local.solvers.mistakes import UNKNOWN, mistake
from training.prompts import Language, Prompt

PROFILES = tuple(SKILLS)

SHARED_LUCK = 0.6
"""How often a prompt is hard or easy for all models alike, as it is for real ones. Without it some
model would be right by chance on nearly every prompt, and the oracle out of every router's reach.
"""

_THINKING_TOKENS = {"haiku": 40, "nova-lite": 60, "llama-70b": 90, "sonnet": 160}
_USUAL_THINKING_TOKENS = 80
_MUSING: Mapping[Language, str] = {
    "en": "Let me read the question again and work through it step by step. ",
    "ja": "問題をもう一度読み、順を追って考えます。",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """A set of stand-in models, one per candidate; call it as the loopback Bedrock's responder."""

    name: str
    candidates: Mapping[str, Candidate]
    """By every id that Bedrock may be called with."""
    skill: Skill

    def __call__(self, model_id: str, request: Request) -> Reply:
        """Answer as this model would, within maxTokens."""
        candidate = self.candidates[model_id]
        text = _asked(request)
        solution = solve(text)
        answer = self._answer(candidate, text, solution)
        room = request.get("inferenceConfig", {}).get("maxTokens", candidate.max_output_tokens)
        prompt = "".join(_everything(request))
        return _reply(candidate, prompt, answer, _musing(candidate, text, solution), room)

    def _answer(self, candidate: Candidate, text: str, solution: Solution | None) -> str:
        if solution is None:
            return UNKNOWN["ja" if count_scripts(text)["cjk"] else "en"]
        skill = self.skill(
            candidate.name, solution.category, solution.language, solution.difficulty
        )
        own, shared = _random(candidate.model_id, text), _random(text)
        luck = (shared if shared.random() < SHARED_LUCK else own).random()
        return solution.answer if luck < skill else mistake(solution, own)


def profile(name: str, catalog: Catalog) -> Profile:
    """Return the stand-ins of a profile for the candidates of a catalog.

    Raises:
        ValueError: no such profile, or it does not know one of the candidates.
    """
    if name not in SKILLS:
        raise ValueError(f"no profile {name!r}; profiles: {', '.join(PROFILES)}")
    ids: dict[str, Candidate] = {}
    for candidate in catalog.candidates.values():
        ids |= {candidate.model_id: candidate, candidate.invoke_id: candidate}
    return Profile(name, ids, SKILLS[name](catalog))


def expected_reward(profile: Profile, model: str, prompt: Prompt) -> float:
    """Return the true chance that candidate `model` answers the prompt right."""
    return profile.skill(model, prompt.category, prompt.language, prompt.difficulty)


def _reply(candidate: Candidate, prompt: str, answer: str, musing: str, room: int) -> Reply:
    """Count tokens by the catalog's estimate; where room is short, the musing is cut first."""
    answer_tokens = max(1, _tokens(candidate, answer))
    musing_tokens = min(_tokens(candidate, musing), max(0, room - answer_tokens))
    fits = answer_tokens <= room
    return Reply(
        text=answer if fits else answer[: max(1, len(answer) * room // answer_tokens)],
        input_tokens=max(1, _tokens(candidate, prompt)),
        output_tokens=musing_tokens + min(answer_tokens, room),
        stop_reason="end_turn" if fits else "max_tokens",
        reasoning=musing if candidate.capabilities.reasoning and musing_tokens else "",
    )


def _musing(candidate: Candidate, text: str, solution: Solution | None) -> str:
    """Return about as many words as this model spends on such a prompt."""
    usual = _THINKING_TOKENS.get(candidate.name, _USUAL_THINKING_TOKENS)
    difficulty = solution.difficulty if solution else 1
    wanted = (
        usual
        * (0.4 + 0.2 * difficulty)
        * _random("length", candidate.model_id, text).uniform(0.75, 1.25)
    )
    sentence = _MUSING[solution.language if solution else "en"]
    return sentence * max(1, round(wanted / _tokens(candidate, sentence)))


def _random(*parts: str) -> Random:
    digest = sha256("\n".join(parts).encode()).digest()
    return Random(int.from_bytes(digest))


def _tokens(candidate: Candidate, text: str) -> int:
    return candidate.estimate_tokens(_scripts(text))


# All candidates see the same prompts, and their musings are one sentence over and over.
_scripts = lru_cache(maxsize=8192)(count_scripts)


def _asked(request: Request) -> str:
    last = next(message for message in reversed(request["messages"]) if message["role"] == "user")
    return "".join(_texts(last["content"]))


def _everything(request: Request) -> Iterator[str]:
    yield from _texts(request.get("system", ()))
    for message in request["messages"]:
        yield from _texts(message["content"])


def _texts(content: Any) -> Iterator[str]:
    return (block["text"] for block in content if "text" in block)
