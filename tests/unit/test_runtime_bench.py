"""How the runtime benchmark sums up what it timed."""

import pytest

from tests.bench.function_timing import Warm
from tests.bench.runtime import (
    PEER_ROWS,
    PER_ROUND,
    ROWS,
    SUFFIXES,
    Figure,
    as_report,
    break_even,
    flatten,
    markdown,
    p99,
)


def test_a_round_is_summed_up_by_its_quantiles_and_its_pace() -> None:
    times = [float(n) for n in range(101)]
    assert p99(times) == 99.0
    warm = Warm(times, times, 5.05, frozenset({"miss"}), 1.0)
    assert warm.per_second == pytest.approx(101 / 5.05)


def test_the_report_holds_medians_by_name_and_their_spread() -> None:
    report = as_report({"cold_start_ms": Figure.of([3.0, 1.0, 2.0])}, {"peer_x_p50_ms_9": 1.23456})
    assert report["cold_start_ms"] == 2.0
    assert report["peer_x_p50_ms_9"] == 1.235
    assert report["spread"] == {"cold_start_ms": [1.0, 3.0]}


def test_what_a_peer_printed_becomes_one_figure_a_name() -> None:
    found = {"a_router": {"version": "1", "import_ms": 5, "p50_ms": {"9": 0.5, "32": 1.5}}}
    assert flatten(found) == {
        "peer_a_router_import_ms": 5.0,
        "peer_a_router_p50_ms_9": 0.5,
        "peer_a_router_p50_ms_32": 1.5,
    }


def test_the_readmes_tables_name_every_figure_and_only_peers_that_ran() -> None:
    keys = [key for _, key in ROWS] + [f"decision_p50_ms_{n}" for n in PER_ROUND]
    one = Figure.of([1.0, 2.0, 3.0])
    figures = {f"{key}{suffix}": one for key in keys for suffix in SUFFIXES.values()}
    peers = {f"peer_{PEER_ROWS[0][1]}_{n}": 7.0 for n in PER_ROUND}

    text = markdown(figures, peers)

    assert "| peak memory, MB | 2.0 (1.0 to 3.0) | 2.0 (1.0 to 3.0) | 220 / 320 |" in text
    assert f"| {PEER_ROWS[0][0]} | 7.0 | 7.0 | 7.0 | 7.0 |" in text
    assert PEER_ROWS[1][0] not in text


@pytest.mark.parametrize(
    ("hit", "miss", "said"),
    [
        (2.0, 14.0, "where 33% of the prompts"),
        (2.0, 9.0, "where 0% of the prompts"),
        (12.0, 20.0, "never saves time: 10.0 ms"),
    ],
)
def test_the_table_of_predictions_pays_from_some_share_of_repeated_prompts_on_or_never(
    hit: float, miss: float, said: str
) -> None:
    times = {"decision_p50_ms_32": 10.0, "cache_hit_ms": hit, "cache_miss_ms": miss}
    assert said in break_even({name: Figure.of([value]) for name, value in times.items()})
