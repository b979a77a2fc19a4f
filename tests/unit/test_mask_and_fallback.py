"""Who cannot serve a request, and who rests."""

from dataclasses import replace
from datetime import date

import pytest

from regroup.domain.catalog import Candidate, Capabilities, Catalog, Prices, count_scripts
from regroup.domain.fallback import Cooldowns, Deadline
from regroup.domain.mask import Hurdle, Needs, find_hurdles

CANDIDATE = Candidate(
    name="one",
    family="test",
    model_id="test.one",
    region="ap-northeast-1",
    prices=Prices(1.0, 2.0),
    context_tokens=1_000,
    max_output_tokens=100,
    tokens_per_char={"latin": 0.25, "cjk": 1.0, "other": 1.0},
    capabilities=Capabilities(),
    residency="jp",
)
NEEDS = Needs(script_counts=count_scripts("hello"), system=False, today=date(2026, 11, 24))


@pytest.mark.parametrize(
    ("changes", "needs", "hurdle"),
    [
        ({}, NEEDS, None),
        ({"end_of_life": date(2026, 11, 24)}, NEEDS, Hurdle.ENDED),
        ({"end_of_life": date(2026, 11, 25)}, NEEDS, None),
        ({"available_from": date(2026, 11, 25)}, NEEDS, Hurdle.NOT_YET),
        ({"capabilities": Capabilities(system=False)}, replace(NEEDS, system=True), Hurdle.SYSTEM),
        ({}, replace(NEEDS, script_counts=count_scripts("x" * 4_000)), Hurdle.CONTEXT),
        ({}, replace(NEEDS, script_counts=count_scripts("x" * 3_000)), None),
        ({}, replace(NEEDS, script_counts=count_scripts("日" * 1_000)), Hurdle.CONTEXT),
    ],
)
def test_each_hurdle_is_found(
    changes: dict[str, object], needs: Needs, hurdle: Hurdle | None
) -> None:
    catalog = Catalog({"one": replace(CANDIDATE, **changes)})  # type: ignore[arg-type]
    assert find_hurdles(catalog, needs, scored={"one"}, cooling=()) == {"one": hurdle}


def test_a_candidate_without_a_prediction_is_left_out() -> None:
    catalog = Catalog({"one": CANDIDATE})
    assert find_hurdles(catalog, NEEDS, scored=(), cooling=()) == {"one": Hurdle.NOT_SCORED}


def test_a_resting_candidate_is_left_out_unless_it_is_the_last_one_standing() -> None:
    catalog = Catalog({"one": CANDIDATE, "two": replace(CANDIDATE, name="two")})
    both = {"one", "two"}
    assert find_hurdles(catalog, NEEDS, scored=both, cooling={"one"}) == {
        "one": Hurdle.COOLING_DOWN,
        "two": None,
    }
    assert set(find_hurdles(catalog, NEEDS, scored=both, cooling=both).values()) == {None}


def test_a_rest_ends_by_time_or_by_an_answer() -> None:
    cooldowns = Cooldowns(rest_seconds=30.0)
    cooldowns.rest("one", now=100.0)
    cooldowns.rest("two", now=100.0)
    cooldowns.wake("two")
    assert set(cooldowns.resting(129.9)) == {"one"}
    assert set(cooldowns.resting(130.0)) == set()


@pytest.mark.parametrize(("now", "seconds"), [(10.0, 18.0), (27.0, 1.0), (27.5, 0.0), (99.0, 0.0)])
def test_an_attempt_gets_the_time_left_or_is_not_begun(now: float, seconds: float) -> None:
    assert Deadline(28.0).attempt_seconds(now) == seconds
