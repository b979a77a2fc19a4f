"""The table of levers, and the arithmetic of `make bench-levers`."""

from collections import Counter

import onnxruntime as ort
import pytest

from tests.bench.levers import LEVERS, Lever, differences
from tests.bench.levers_graphs import GRAPHS, OTHER_NUMBERS
from tests.bench.levers_probe import Setup


def test_levers_differ_in_name_and_from_what_is_shipped() -> None:
    assert max(Counter(lever.name for lever in LEVERS).values()) == 1
    assert Setup() not in [lever.setup for lever in LEVERS]


@pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.name)
def test_what_a_lever_names_exists(lever: Lever) -> None:
    assert lever.setup.graph in {Setup().graph, *GRAPHS}
    assert lever.setup.level is None or hasattr(ort.GraphOptimizationLevel, lever.setup.level)
    assert lever.encoders


def test_every_graph_is_measured() -> None:
    assert {lever.setup.graph for lever in LEVERS} >= set(GRAPHS) >= set(OTHER_NUMBERS)


def test_differences_are_paired_before_their_median_is_taken() -> None:
    shipped = [10.0, 20.0, 30.0, 40.0, 50.0]
    moved = [13.0, 21.0, 32.0, 45.0, 54.0]
    pairs = [
        (
            dict.fromkeys(("load_ms", "encode_ms", "peak_mb"), one),
            {"load_ms": other, "encode_ms": one, "peak_mb": -one},
        )
        for one, other in zip(shipped, moved, strict=True)
    ]
    found = differences(pairs)
    assert (found["load_ms_low"], found["load_ms"], found["load_ms_high"]) == (2.0, 3.0, 4.0)
    assert (found["encode_ms"], found["peak_mb"]) == (0.0, -60.0)
