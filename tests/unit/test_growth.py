"""The simulation behind GROWTH.md: queueing theory holds in it, and the page is what it prints."""

from collections import Counter
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.catalog_file import read_catalog
from regroup.domain.fallback import REST_SECONDS
from tests.bench.growth import (
    MODELS,
    Setup,
    columns_of,
    main,
    numbers_of,
    read_measured,
    report,
)
from tests.bench.growth_load import (
    Bursts,
    Measured,
    Model,
    Quotas,
    Requests,
    Trace,
    Traffic,
    draw_trace,
)
from tests.bench.growth_model import Deployment, End
from tests.local.fakes import PATIENT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "GROWTH.md").read_text(encoding="utf-8")
BEGIN, END = "<!-- make bench-growth -->", "<!-- end -->"

MEASURED = Measured(decision_p50=0.003, decision_p99=0.006, cold_start=0.6)
NO_BURSTS = Bursts(burst_factor=1.0)
PLENTY = 1e12
FREE = Quotas(
    models=(Model("a", 0.5, PLENTY, 1), Model("b", 0.5, PLENTY, 1)),
    gateway_per_second=PLENTY,
    gateway_bucket=PLENTY,
    instances=PLENTY,
    new_instances_at_once=PLENTY,
    table_writes=PLENTY,
    table_reads=PLENTY,
    item_writes=PLENTY,
    item_reads=PLENTY,
)
"""Nothing is ever refused."""
WARM = Requests(table_call_seconds=0.0, environment_seconds=0.0)
"""With a cold start of 0, a new instance is as good as an old one."""
AT_ONCE = replace(MEASURED, cold_start=0.0)


def run(
    trace: Trace, quotas: Quotas = FREE, requests: Requests = WARM, measured: Measured = AT_ONCE
) -> Deployment:
    deployment = Deployment(quotas, requests, measured)
    deployment.run(trace)
    return deployment


def steady(rate: float, seconds: float, *, seed: int = 0, requests: Requests = WARM) -> Trace:
    """Draw arrivals of one rate."""
    traffic = Traffic(rate, seconds, NO_BURSTS)
    return draw_trace(traffic, requests, AT_ONCE, FREE.models, seed)


def given_at(
    at: list[float], *, answer_seconds: float = 1.0, wanted: int = 0, busiest: bool = False
) -> Trace:
    """Return requests at these times that are all alike."""
    ones = np.ones(len(at))
    return Trace(
        at=np.array(at),
        decision_seconds=0.001 * ones,
        answer_seconds=answer_seconds * ones,
        wanted=np.full(len(at), wanted),
        busiest=np.full(len(at), busiest),
    )


def count(deployment: Deployment, end: End) -> int:
    return Counter(deployment.ends)[end]


# Instances


@pytest.mark.parametrize("rate", [5, 50, 200])
def test_at_a_constant_rate_as_many_instances_are_busy_as_littles_law_says(rate: float) -> None:
    busy = rate * WARM.mean_answer_seconds
    most = run(steady(rate, 300)).fleet.most_busy
    # How many are busy is Poisson where nobody is refused: its peak lies a few deviations above.
    assert busy + sqrt(busy) < most < busy + 6 * sqrt(busy)


def erlang_b(offered: float, instances: int) -> float:
    """Return the share that finds all instances busy, whatever the distribution of answers."""
    share = 1.0
    for n in range(1, instances + 1):
        share = offered * share / (n + offered * share)
    return share


@pytest.mark.parametrize("instances", [60, 72, 90])
def test_too_few_instances_refuse_the_share_that_erlang_says(instances: int) -> None:
    rate = 20.0
    trace = steady(rate, 3_000)
    refused = count(run(trace, replace(FREE, instances=instances)), End.CONCURRENCY)
    expected = erlang_b(rate * WARM.mean_answer_seconds, instances)
    assert refused / len(trace.at) == pytest.approx(expected, abs=0.015)


def test_nothing_starts_cold_once_enough_instances_are_warm() -> None:
    trace = steady(50, 120)
    needed = run(trace).fleet.most_busy
    warm = run(trace, replace(FREE, provisioned=needed), measured=MEASURED)
    assert warm.fleet.cold_starts == 0
    assert max(warm.own_seconds) < MEASURED.cold_start
    short = run(trace, replace(FREE, provisioned=needed - 1), measured=MEASURED)
    assert short.fleet.cold_starts > 0


@pytest.mark.parametrize(("pause_seconds", "cold_starts"), [(299.0, 1), (301.0, 2)])
def test_an_instance_that_was_idle_too_long_is_gone(pause_seconds: float, cold_starts: int) -> None:
    trace = given_at([0.0, 1.001 + pause_seconds])
    assert run(trace, measured=AT_ONCE).fleet.cold_starts == cold_starts


@pytest.mark.parametrize(("pause_seconds", "end"), [(0.09, End.CONCURRENCY), (0.11, End.ROUTED)])
def test_an_instance_serves_at_most_ten_requests_a_second(pause_seconds: float, end: End) -> None:
    trace = given_at([0.0, pause_seconds], answer_seconds=0.0)
    requests = replace(WARM, answered=False)
    assert run(trace, replace(FREE, instances=1.0), requests).ends == [End.ROUTED, end]


@pytest.mark.parametrize("arrivals", [9, 10, 11, 25])
@pytest.mark.parametrize(
    ("limit", "end"),
    [
        ({"instances": 10.0}, End.CONCURRENCY),
        ({"new_instances_at_once": 10.0, "new_instances_per_second": 0.0}, End.SCALING),
        ({"gateway_bucket": 10.0, "gateway_per_second": 0.0}, End.GATEWAY),
    ],
)
def test_requests_are_refused_exactly_when_a_limit_is_passed(
    limit: dict[str, Any], end: End, arrivals: int
) -> None:
    deployment = run(given_at([0.0] * arrivals), replace(FREE, **limit))
    assert count(deployment, end) == max(0, arrivals - 10)
    assert (deployment.first_limit() is None) == (arrivals <= 10)


quotas = st.integers(0, 60).map(float)


def routed(trace: Trace, **limits: Any) -> int:
    return count(run(trace, replace(FREE, **limits)), End.ROUTED)


@PATIENT
@given(few=quotas, more=quotas, seed=st.integers(0, 9))
def test_more_instances_never_serve_fewer_requests(few: float, more: float, seed: int) -> None:
    trace = steady(15, 15, seed=seed)
    assert routed(trace, instances=few) <= routed(trace, instances=few + more)


@PATIENT
@given(rate=quotas, more_rate=quotas, bucket=quotas, more_bucket=quotas, seed=st.integers(0, 9))
def test_a_wider_gateway_never_lets_fewer_requests_through(
    rate: float, more_rate: float, bucket: float, more_bucket: float, seed: int
) -> None:
    trace = steady(30, 10, seed=seed)
    narrow = routed(trace, gateway_per_second=rate, gateway_bucket=bucket)
    wide = routed(trace, gateway_per_second=rate + more_rate, gateway_bucket=bucket + more_bucket)
    assert narrow <= wide


@PATIENT
@given(tokens=quotas, more=quotas, seed=st.integers(0, 9))
def test_more_tokens_never_answer_fewer_requests(tokens: float, more: float, seed: int) -> None:
    """Of answers that all take the same."""
    requests = replace(WARM, input_tokens=1.0, max_tokens=0.0)
    trace = given_at(np.sort(np.random.default_rng(seed).uniform(0, 60, 90)).tolist())
    answered = [
        count(run(trace, replace(FREE, models=(Model("a", 1, one, 1),)), requests), End.ROUTED)
        for one in (tokens, tokens + more)
    ]
    assert answered[0] <= answered[1]


# Tokens


def test_a_model_without_tokens_is_followed_by_the_next_and_rests() -> None:
    requests = replace(WARM, input_tokens=100.0, max_tokens=100.0)
    models = (Model("a", 1, 0.0, 1), Model("b", 0, PLENTY, 1))
    deployment = run(given_at([0.0, 2.0, 4.0]), replace(FREE, models=models), requests)
    assert deployment.ends == [End.FALLBACK] * 3
    # One instance serves all three: only the first request asks the model that has none.
    assert deployment.fleet.cold_starts == 1
    assert deployment.models.first_refusals == {0: 0.0}


def test_a_model_rests_although_it_has_tokens_again() -> None:
    requests = replace(WARM, input_tokens=100.0, max_tokens=300.0)
    models = (Model("a", 1, 400.0, 1), Model("b", 0, PLENTY, 1))
    # Refused at 1.5 seconds it has all its tokens at 25, and has rested at 31.5.
    times = [0.0, 1.5, 25.0, 1.6 + REST_SECONDS]
    deployment = run(given_at(times), replace(FREE, models=models), requests)
    assert deployment.ends == [End.ROUTED, End.FALLBACK, End.FALLBACK, End.ROUTED]


def test_where_no_model_has_tokens_the_request_is_refused() -> None:
    models = (Model("a", 1, 0.0, 1), Model("b", 0, 0.0, 1))
    # The one instance is free again long before an answer would have ended.
    quotas = replace(FREE, models=models, instances=1.0)
    trace = given_at([0.0, 1.0], answer_seconds=10.0)
    assert run(trace, quotas).ends == [End.NO_TOKENS, End.NO_TOKENS]


@pytest.mark.parametrize(("burndown", "second"), [(1.0, End.ROUTED), (10.0, End.FALLBACK)])
def test_what_was_set_aside_is_replaced_by_what_was_used(burndown: float, second: End) -> None:
    """An answer of one second has 60 tokens: 160 or 700 of 1,200 are used, 400 set aside."""
    requests = replace(WARM, input_tokens=100.0, max_tokens=300.0)
    models = (Model("a", 1, 1_000.0, burndown), Model("b", 0, PLENTY, 1))
    deployment = run(given_at([0.0, 1.01]), replace(FREE, models=models), requests)
    assert deployment.ends == [End.ROUTED, second]


# Budgets


@pytest.mark.parametrize(("rate", "all_known"), [(400, True), (600, False)])
def test_the_budget_of_one_key_bears_five_hundred_requests_a_second(
    rate: int, all_known: bool
) -> None:
    trace = replace(steady(rate, 20), busiest=np.ones(len(steady(rate, 20).at), bool))
    deployment = run(trace, replace(FREE, item_writes=1_000.0))
    known = deployment.budgets.unknown == 0 and deployment.budgets.lost_settlements == 0
    assert known == all_known


def test_a_request_whose_budget_is_unknown_gets_the_cheapest_model_or_none() -> None:
    quotas = replace(FREE, item_writes=0.0)
    trace = given_at([0.0], wanted=1, busiest=True)
    assert run(trace, quotas).ends == [End.FALLBACK]
    broke = replace(quotas, models=(Model("a", 0.5, 0.0, 1), FREE.models[1]))
    assert run(trace, broke).ends == [End.NO_TOKENS]


def test_a_request_that_is_only_decided_sets_nothing_aside() -> None:
    quotas = replace(FREE, item_writes=0.0, models=(Model("a", 1, 0.0, 1),))
    requests = replace(WARM, answered=False)
    assert run(given_at([0.0], busiest=True), quotas, requests).ends == [End.ROUTED]


# Traces


def test_a_seed_gives_the_same_trace_and_the_same_end_to_every_request() -> None:
    traffic = Traffic(40, 60)
    tight = replace(FREE, instances=100.0, models=MODELS)
    runs = [run(draw_trace(traffic, WARM, AT_ONCE, MODELS, seed), tight) for seed in (3, 3, 4)]
    assert runs[0].ends == runs[1].ends
    assert runs[0].own_seconds == runs[1].own_seconds
    assert runs[0].own_seconds != runs[2].own_seconds


@pytest.mark.parametrize("factor", [1.0, 3.0, 10.0])
def test_bursts_change_when_requests_come_and_not_how_many(factor: float) -> None:
    trace = draw_trace(Traffic(200, 300, Bursts(factor)), WARM, MEASURED, MODELS, seed=1)
    assert len(trace.at) == pytest.approx(60_000, rel=0.02)
    assert (np.diff(trace.at) >= 0).all()
    seconds = np.bincount(trace.at.astype(np.intp))
    assert (seconds.max() > 1.5 * seconds.mean()) == (factor > 1)


def test_decisions_have_the_quantiles_that_were_measured() -> None:
    trace = draw_trace(Traffic(500, 200), WARM, MEASURED, MODELS, seed=1)
    assert np.quantile(trace.decision_seconds, 0.5) == pytest.approx(0.003, rel=0.02)
    assert np.quantile(trace.decision_seconds, 0.99) == pytest.approx(0.006, rel=0.03)


# The page


def labels(text: str) -> list[list[str]]:
    """Return the header and the first column of each table in a text."""
    found: list[list[str]] = []
    for block in text.split("\n\n"):
        rows = [line.split(" | ") for line in block.strip().splitlines() if line.startswith("|")]
        if rows:
            found.append([*rows[0], *(row[0] for row in rows[2:])])
    return found


def test_the_page_holds_the_tables_that_the_script_prints() -> None:
    setup = Setup()
    short = [replace(c, traffic=replace(c.traffic, seconds=1.0)) for c in columns_of(setup)]
    printed = labels(report(MEASURED, setup, short))
    assert len(printed) == 2
    assert labels(PAGE.partition(BEGIN)[2].partition(END)[0]) == printed


@pytest.mark.parametrize(
    "name", [name for kind in (Bursts, Requests, Quotas) for name in numbers_of(kind)]
)
def test_every_assumed_number_is_on_the_page_with_its_option(name: str) -> None:
    assert f"`--{name.replace('_', '-')}`" in PAGE


def test_the_models_are_the_catalogs_and_the_first_is_the_cheapest() -> None:
    path = ROOT / "terraform/catalog.json"
    catalog = read_catalog(path.read_bytes(), place=str(path))
    assert {model.name for model in MODELS} == set(catalog.names)
    assert MODELS[0].name == catalog.cheapest()


def test_each_encoder_has_its_own_figures() -> None:
    figures = {"cold_start_ms": 600, "decision_p50_ms_32": 3, "decision_p99_ms_32": 6}
    both = figures | {f"{name}_e5": 2 * value for name, value in figures.items()}
    assert read_measured(both, "minilm") == MEASURED
    assert read_measured(both, "e5-small") == Measured(0.006, 0.012, 1.2)


def test_shares_that_do_not_add_up_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--model", "haiku=0.2,1000,1"])
    assert caught.value.code == 2
    assert "add up to 0.2: make them add up to 1" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "{}", "no JSON", "[1]", '{"cold_start_ms": "x"}'])
def test_without_measured_times_it_says_what_to_run_first(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runtime.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as caught:
        main(["--runtime", str(path)])
    assert caught.value.code == 2
    assert "run make bench-runtime first" in capsys.readouterr().err
