"""One artifact's predictions: from memory, from the table, or by encoding."""

from dataclasses import replace

import numpy as np
import pytest

from regroup.domain.decision import CacheState
from regroup.domain.prediction import Prediction
from regroup.domain.query import query_from_text
from regroup.domain.recency import RecentPredictions
from regroup.domain.uncertainty import Uncertainty
from tests.local.fakes import FakeCache, FakeEncoder, RecordingTelemetry
from tests.local.world import DIGEST, REWARDS, small_predictor

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


# How sure it is

UNSURE = Uncertainty(
    centre=np.zeros(2, np.float32),
    basis=np.eye(2, dtype=np.float32),
    spectrum=np.full((3, 2), 9.0),
    penalty=np.full((2, 3), 1.0),
    noise=np.array([[0.0, 0.0, 0.0], [0.01, 0.04, 0.01]]),
    mass=np.array([100.0, 100.0, 4.0]),
    cluster_variance=np.zeros((2, 1, 3)),
    choice_weight=np.array([[0.0] * 3, [1.0] * 3]),
    gain_x=np.array([0.0, 1.0]),
    gain_y=np.array([0.0, 0.5]),
    best_x=np.array([0.0, 1.0]),
    best_y=np.array([0.0, 1.0]),
)


def test_errors_of_the_rewards_come_with_the_prediction_and_through_the_table() -> None:
    cache = FakeCache()
    made, _ = replace(small_predictor(cache=cache), uncertainty=UNSURE).predict(HELLO, NOW)
    # The embedding is (1, 0): noise x (1 / (9 + 1) + 1 / mass).
    expected = {"small": 0.01 * 0.11, "medium": 0.04 * 0.11, "large": 0.01 * 0.35}
    assert made.reward_errors == pytest.approx({n: v**0.5 for n, v in expected.items()})
    assert made.choice_errors == pytest.approx(made.reward_errors)
    found, state = replace(small_predictor(cache=cache), uncertainty=UNSURE).predict(HELLO, NOW)
    assert (found, state) == (made, CacheState.HIT)


def test_a_stored_prediction_of_other_errors_is_made_anew() -> None:
    cache = FakeCache()
    small_predictor(cache=cache).predict(HELLO, NOW)
    _, state = replace(small_predictor(cache=cache), uncertainty=UNSURE).predict(HELLO, NOW)
    assert state is CacheState.MISS


def test_confidence_is_about_the_candidates_that_could_have_been_chosen() -> None:
    predictor = replace(small_predictor(), uncertainty=UNSURE)
    made, _ = predictor.predict(HELLO, NOW)
    among_all = predictor.confidence(made, "large", ("small", "medium", "large"))
    among_two = predictor.confidence(made, "large", ("small", "large"))
    assert among_all is not None
    assert among_two is not None
    assert 0.9 < among_all.probability_best < among_two.probability_best < 1.0
    # The lead over the default candidate, 0.2, came to half of it on rows held out.
    assert among_all.expected_gain == pytest.approx(0.1)
    assert among_two.expected_gain is None


def test_without_errors_nothing_is_said_of_confidence() -> None:
    predictor = small_predictor()
    made, _ = predictor.predict(HELLO, NOW)
    assert made.reward_errors == {}
    assert predictor.confidence(made, "large", tuple(REWARDS)) is None
