"""How the runtime benchmark sums up what it timed."""

import pytest

from tests.bench.function_timing import Warm
from tests.bench.runtime import Figure, as_report, flatten, p50, p99


def test_a_round_is_summed_up_by_its_quantiles_and_its_pace() -> None:
    warm = Warm([float(n) for n in range(101)], frozenset({"miss"}), 1.0)
    assert (p50(warm), p99(warm)) == (50.0, 99.0)
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
