"""One artifact's predictions: from memory, from the table, or by encoding."""

from dataclasses import replace

import pytest

from regroup.domain.decision import CacheState
from regroup.domain.prediction import Prediction
from regroup.domain.query import query_from_text
from regroup.domain.recency import RecentPredictions
from tests.local.fakes import (
    DIGEST,
    REWARDS,
    FakeCache,
    FakeEncoder,
    RecordingTelemetry,
    small_predictor,
)

HELLO = query_from_text("hello")
NOW = 1_790_000_000.0
STORED = Prediction(
    cluster=7,
    distance=0.5,
    rewards=dict.fromkeys(REWARDS, 0.25),
    output_tokens=dict.fromkeys(REWARDS, 9.0),
)


def test_a_second_identical_query_is_remembered_and_runs_no_encoder() -> None:
    encoder, cache = FakeEncoder(), FakeCache()
    predictor = small_predictor(encoder=encoder, cache=cache)

    first, state = predictor.predict(HELLO, NOW)
    again, state_again = predictor.predict(HELLO, NOW)

    assert (state, state_again) == (CacheState.MISS, CacheState.MEMORY)
    assert again == first
    assert first.rewards == pytest.approx(REWARDS)
    assert first.output_tokens == pytest.approx(dict.fromkeys(REWARDS, 100.0))
    assert encoder.texts == ["hello"]
    assert len(cache.reads) == len(cache.writes) == 1


def test_a_stored_prediction_runs_no_encoder_and_is_remembered() -> None:
    key = HELLO.digest(DIGEST)
    encoder, cache = FakeEncoder(), FakeCache({key: STORED})
    predictor = small_predictor(encoder=encoder, cache=cache)

    assert predictor.predict(HELLO, NOW) == (STORED, CacheState.HIT)
    assert predictor.predict(HELLO, NOW) == (STORED, CacheState.MEMORY)
    assert encoder.texts == []
    assert cache.reads == [(key, NOW)]
    assert cache.writes == []


def test_what_one_instance_predicted_another_finds_in_the_table() -> None:
    cache, encoder = FakeCache(), FakeEncoder()
    made, _ = small_predictor(cache=cache).predict(HELLO, NOW)

    assert small_predictor(cache=cache, encoder=encoder).predict(HELLO, NOW) == (
        made,
        CacheState.HIT,
    )
    assert encoder.texts == []


def test_a_cache_that_fails_is_bypassed_counted_and_not_written() -> None:
    telemetry, encoder, cache = RecordingTelemetry(), FakeEncoder(), FakeCache(read_fails=True)
    predictor = small_predictor(telemetry=telemetry, encoder=encoder, cache=cache)

    prediction, state = predictor.predict(HELLO, NOW)

    assert state is CacheState.BYPASSED
    assert prediction.rewards == pytest.approx(REWARDS)
    assert telemetry.counts == {"CacheBypassed": 1}
    assert cache.writes == []
    # Remembered all the same: the table is not asked again for this query.
    assert predictor.predict(HELLO, NOW)[1] is CacheState.MEMORY


def test_a_cache_that_takes_nothing_is_counted_and_does_not_fail_the_request() -> None:
    telemetry, cache = RecordingTelemetry(), FakeCache(write_fails=True)

    _, state = small_predictor(telemetry=telemetry, cache=cache).predict(HELLO, NOW)

    assert state is CacheState.MISS
    assert telemetry.counts == {"CacheWriteFailed": 1}


def test_without_a_table_memory_alone_serves() -> None:
    predictor = small_predictor()
    assert predictor.predict(HELLO, NOW)[1] is CacheState.MISS
    assert predictor.predict(HELLO, NOW)[1] is CacheState.MEMORY


@pytest.mark.parametrize(
    "alien",
    [
        replace(STORED, rewards={"small": 0.5, "medium": 0.5}),
        replace(STORED, rewards={**STORED.rewards, "gone": 0.5}),
        replace(STORED, rewards={}),
        replace(STORED, output_tokens={"small": 9.0}),
        replace(STORED, output_tokens={}),
    ],
    ids=["lacks one", "one too many", "none", "lengths lack two", "no lengths"],
)
def test_a_stored_prediction_for_other_candidates_is_a_miss_and_overwritten(
    alien: Prediction,
) -> None:
    key = HELLO.digest(DIGEST)
    encoder, cache = FakeEncoder(), FakeCache({key: alien})

    prediction, state = small_predictor(encoder=encoder, cache=cache).predict(HELLO, NOW)

    assert state is CacheState.MISS
    assert encoder.texts == ["hello"]
    assert cache.items == {key: prediction}
    assert set(prediction.rewards) == set(REWARDS)


@pytest.mark.parametrize(
    ("one", "other"),
    [("caf\u00e9", "cafe\u0301"), ("\u304c", "\u304b\u3099"), ("\ud55c", "\u1112\u1161\u11ab")],
)
def test_equivalent_texts_share_an_entry(one: str, other: str) -> None:
    encoder = FakeEncoder()
    predictor = small_predictor(encoder=encoder)

    first, _ = predictor.predict(query_from_text(one), NOW)
    again, state = predictor.predict(query_from_text(other), NOW)

    assert (again, state) == (first, CacheState.MEMORY)
    assert encoder.texts == [one]


def test_the_query_unused_for_longest_is_forgotten_first() -> None:
    encoder = FakeEncoder()
    predictor = replace(small_predictor(encoder=encoder), recent=RecentPredictions(capacity=2))
    order = ["one", "two", "one", "three", "one", "two"]

    states = [predictor.predict(query_from_text(text), NOW)[1].value for text in order]

    assert states == ["miss", "miss", "memory", "miss", "memory", "miss"]
    assert encoder.texts == ["one", "two", "three", "two"]
