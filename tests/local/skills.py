"""How good each stand-in is at what: the three profiles, as functions of the catalog."""

from collections.abc import Callable, Mapping

from regroup.domain.catalog import Catalog
from training.prompts import Language

type Skill = Callable[[str, str, Language, int], float]
"""(candidate, category, language, difficulty) -> the chance of a right answer."""

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "numbers": ("arithmetic", "bases", "sequence", "units", "word_problem"),
    "code": ("code_output", "counting", "json_edit", "sorting", "strings"),
    "language": ("capitals", "elements", "extraction", "translation"),
    "logic": ("dates", "liars", "ordering", "roman"),
}
GROUP_OF = {category: group for group, names in _GROUPS.items() for category in names}
_MIDDLE = 3
_LOWEST, _HIGHEST = 0.03, 0.98

_SPECIALISTS: Mapping[str, Mapping[str, float]] = {
    "haiku": {"numbers": 0.58, "code": 0.62, "language": 0.90, "logic": 0.62},
    "sonnet": {"numbers": 0.68, "code": 0.93, "language": 0.68, "logic": 0.78},
    "nova-lite": {"numbers": 0.92, "code": 0.56, "language": 0.60, "logic": 0.60},
    "llama-70b": {"numbers": 0.64, "code": 0.60, "language": 0.62, "logic": 0.92},
}
_JAPANESE = {"haiku": 0.03, "sonnet": 0.0, "nova-lite": -0.04, "llama-70b": -0.25}
_STEP = {"haiku": 0.035, "sonnet": 0.02, "nova-lite": 0.03, "llama-70b": 0.03}
"""Lost per level of difficulty."""


def specialists(catalog: Catalog) -> Skill:
    """Each is best at some categories; llama is weak in Japanese."""
    strangers = [name for name in catalog.names if name not in _SPECIALISTS]
    if strangers:
        known = ", ".join(_SPECIALISTS)
        raise ValueError(f"no specialist {', '.join(strangers)}; there are {known}")

    def skill(model: str, category: str, language: Language, difficulty: int) -> float:
        base = _SPECIALISTS[model][GROUP_OF[category]]
        shift = _JAPANESE[model] if language == "ja" else 0.0
        return _bounded(base + shift + _STEP[model] * (_MIDDLE - difficulty))

    return skill


_HARDER = {"numbers": 0.02, "code": 0.03, "language": 0.0, "logic": 0.05}


def tiers(catalog: Catalog) -> Skill:
    """The dearer the better, everywhere; on easy prompts the cheap ones are close."""
    places = _places(catalog)

    def skill(model: str, category: str, language: Language, difficulty: int) -> float:
        below = 1 - places[model]
        easy = 0.97 - 0.01 * below - _HARDER[GROUP_OF[category]]
        foreign = 0.03 * below if language == "ja" else 0.0
        return _bounded(easy - foreign - (0.02 + 0.09 * below) * (difficulty - 1))

    return skill


def one_best(catalog: Catalog) -> Skill:
    """The cheapest is best at everything by a clear margin: there is nothing to route."""
    places, best = _places(catalog), catalog.cheapest()

    def skill(model: str, category: str, language: Language, difficulty: int) -> float:
        base = 0.92 if model == best else 0.62 + 0.14 * places[model]
        foreign = 0.02 if language == "ja" else 0.0
        harder = _HARDER[GROUP_OF[category]]
        return _bounded(base - foreign - harder + 0.02 * (_MIDDLE - difficulty))

    return skill


SKILLS: Mapping[str, Callable[[Catalog], Skill]] = {
    "specialists": specialists,
    "tiers": tiers,
    "one_best": one_best,
}


def _places(catalog: Catalog) -> dict[str, float]:
    """Place the candidates from the cheapest (0) to the dearest (1)."""
    ranked = sorted(
        catalog.candidates.values(), key=lambda c: (c.prices.input + c.prices.output, c.name)
    )
    return {one.name: at / max(1, len(ranked) - 1) for at, one in enumerate(ranked)}


def _bounded(skill: float) -> float:
    return min(_HIGHEST, max(_LOWEST, skill))
