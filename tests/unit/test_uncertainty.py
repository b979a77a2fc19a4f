"""Uncertainty of predictions: errors that follow from the fit, and what a choice comes to."""

from dataclasses import replace
from math import erf, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from regroup.domain.uncertainty import Uncertainty, probability_best
from regroup.errors import ArtifactIncompatibleError

CLUSTERS, CANDIDATES, DIMS = 3, 2, 4
type Numbers = NDArray[np.float64]


def uncertainty() -> Uncertainty:
    rng = np.random.default_rng(0)
    return Uncertainty(
        centre=rng.normal(size=DIMS).astype(np.float32),
        basis=np.linalg.qr(rng.normal(size=(DIMS, DIMS)))[0].astype(np.float32),
        spectrum=rng.uniform(0.0, 5.0, size=(CANDIDATES, DIMS)),
        penalty=np.array([[0.5, 2.0], [1.0, 3.0]]),
        noise=np.array([[0.1, 0.2], [0.05, 0.1]]),
        mass=np.array([50.0, 20.0]),
        cluster_variance=rng.uniform(0.0, 0.01, size=(2, CLUSTERS, CANDIDATES)),
        choice_weight=np.array([[0.0, 0.0], [2.0, 2.0]]),
        gain_x=np.array([0.1, 0.3]),
        gain_y=np.array([0.02, 0.2]),
        best_x=np.array([0.2, 0.6, 0.8]),
        best_y=np.array([0.5, 0.5, 0.9]),
    )


rewards_and_errors = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(0.0, 1.0), min_size=n, max_size=n).map(np.array),
        st.lists(st.floats(0.04, 0.12), min_size=n, max_size=n).map(np.array),
    )
)


def test_errors_are_those_of_the_ridge_posterior() -> None:
    rng = np.random.default_rng(1)
    rows, x = rng.normal(size=(30, DIMS)), rng.normal(size=DIMS)
    centre = rows.mean(axis=0)
    gram = (rows - centre).T @ (rows - centre)
    spectrum, basis = np.linalg.eigh(gram)
    fitted = replace(
        uncertainty(),
        centre=centre.astype(np.float32),
        basis=basis.astype(np.float32),
        spectrum=np.stack([spectrum, spectrum]),
        penalty=np.array([[1.5, np.inf], [0.7, np.inf]]),
        mass=np.full(2, 30.0),
    )
    variances = fitted.noise / 30 + fitted.cluster_variance[:, 1]
    for part, penalty in enumerate((1.5, 0.7)):
        inverse = np.linalg.inv(gram + penalty * np.eye(DIMS))
        variances[part, 0] += fitted.noise[part, 0] * (x - centre) @ inverse @ (x - centre)
    errors = fitted.standard_errors(x, 1)
    np.testing.assert_allclose(errors, np.sqrt(variances.sum(axis=0)), rtol=1e-5)
    # Only what a candidate adds to the level counts here, and it counts twice.
    np.testing.assert_allclose(fitted.choice_errors(x, 1), np.sqrt(2 * variances[1]), rtol=1e-5)


def test_many_queries_have_the_errors_that_each_has_alone() -> None:
    one, embeddings = uncertainty(), np.random.default_rng(2).normal(size=(5, DIMS))
    clusters = np.array([0, 2, 1, 1, 0])
    for errors in (one.standard_errors, one.choice_errors):
        alone = [errors(x, int(k)) for x, k in zip(embeddings, clusters, strict=True)]
        np.testing.assert_allclose(errors(embeddings, clusters), alone, rtol=1e-6)


@given(st.floats(0.0, 3.0), st.floats(0.1, 3.0), st.integers(0, CLUSTERS - 1))
def test_errors_grow_away_from_the_rows_fitted_on(near: float, more: float, cluster: int) -> None:
    one, direction = uncertainty(), np.ones(DIMS)
    close, far = (
        one.standard_errors(one.centre + reach * direction, cluster)
        for reach in (near, near + more)
    )
    assert (far > close).all()


@given(rewards_and_errors)
def test_exactly_one_candidate_is_the_best(values: tuple[Numbers, Numbers]) -> None:
    rewards, errors = values
    each = [probability_best(rewards, errors, chosen) for chosen in range(len(rewards))]
    assert sum(each) == pytest.approx(1.0, abs=0.002)
    assert min(each) >= 0.0


@given(st.floats(-0.3, 0.3), st.floats(0.04, 0.12), st.floats(0.04, 0.12))
def test_of_two_candidates_the_difference_decides(lead: float, own: float, other: float) -> None:
    found = probability_best(np.array([0.5 + lead, 0.5]), np.array([own, other]), 0)
    expected = 0.5 + 0.5 * erf(lead / sqrt(2 * (own**2 + other**2)))
    assert found == pytest.approx(expected, abs=1e-4)


def test_of_three_candidates_the_share_of_draws_decides() -> None:
    rewards, errors = np.array([0.5, 0.55, 0.4]), np.array([0.1, 0.05, 0.15])
    drawn = np.random.default_rng(3).normal(rewards, errors, size=(200_000, 3)).argmax(axis=1)
    for chosen in range(3):
        found = probability_best(rewards, errors, chosen)
        assert found == pytest.approx((drawn == chosen).mean(), abs=0.005)


@given(rewards_and_errors, st.floats(0.01, 0.5))
def test_a_higher_reward_is_likelier_the_best(values: tuple[Numbers, Numbers], more: float) -> None:
    rewards, errors = values
    raised = rewards + more * (np.arange(len(rewards)) == 0)
    before = probability_best(rewards, errors, 0)
    assert probability_best(raised, errors, 0) >= before - 0.002


def test_without_errors_the_highest_is_the_best_and_equals_share() -> None:
    none = np.zeros(3)
    assert probability_best(np.array([0.4, 0.6, 0.5]), none, 1) == pytest.approx(1.0)
    assert probability_best(np.array([0.6, 0.6, 0.5]), none, 0) == pytest.approx(0.5)


def test_a_lone_candidate_is_the_best() -> None:
    assert probability_best(np.array([0.4]), np.array([0.1]), 0) == pytest.approx(1.0)


def test_many_rows_have_the_probabilities_that_each_has_alone() -> None:
    rng = np.random.default_rng(4)
    rewards, errors = rng.random((6, 3)), rng.uniform(0.05, 0.1, size=(6, 3))
    chosen = np.array([0, 1, 2, 0, 1, 2])
    alone = [probability_best(*row) for row in zip(rewards, errors, chosen, strict=True)]
    np.testing.assert_allclose(probability_best(rewards, errors, chosen), alone)


@pytest.mark.parametrize(
    ("probability", "share"), [(0.0, 0.5), (0.4, 0.5), (0.7, 0.7), (0.8, 0.9), (1.0, 0.9)]
)
def test_a_probability_is_mapped_along_its_curve(probability: float, share: float) -> None:
    assert uncertainty().share_best(probability) == pytest.approx(share)


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [(0.01, 0.02), (0.2, 0.11), (0.5, 0.2), (0.0, 0.0), (-0.2, -0.2)],
)
def test_a_predicted_gain_is_mapped_along_its_curve(predicted: float, expected: float) -> None:
    assert uncertainty().expected_gain(predicted) == pytest.approx(expected)


ARRAYS = tuple(Uncertainty.__dataclass_fields__)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_numbers_that_are_not_finite_are_refused(name: str, bad: float) -> None:
    values = getattr(uncertainty(), name).copy()
    values.flat[0] = bad
    with pytest.raises(ArtifactIncompatibleError, match=name):
        replace(uncertainty(), **{name: values})


@pytest.mark.parametrize("name", [name for name in ARRAYS if name != "penalty"])
def test_only_a_penalty_may_be_infinite(name: str) -> None:
    values = getattr(uncertainty(), name).copy()
    values.flat[-1] = np.inf
    with pytest.raises(ArtifactIncompatibleError, match=name):
        replace(uncertainty(), **{name: values})


@pytest.mark.parametrize(
    "name", ["spectrum", "noise", "cluster_variance", "choice_weight", "penalty", "mass"]
)
def test_numbers_below_what_a_fit_can_give_are_refused(name: str) -> None:
    values = getattr(uncertainty(), name).copy()
    values.flat[0] = -0.1
    with pytest.raises(ArtifactIncompatibleError, match=name):
        replace(uncertainty(), **{name: values})


@pytest.mark.parametrize("bad", [[-0.1, 0.5, 0.9], [0.5, 0.5, 1.1]])
def test_a_share_is_between_nothing_and_all(bad: list[float]) -> None:
    with pytest.raises(ArtifactIncompatibleError, match="best_y"):
        replace(uncertainty(), best_y=np.array(bad))


@pytest.mark.parametrize("name", ["penalty", "mass"])
def test_a_divisor_of_zero_is_refused(name: str) -> None:
    with pytest.raises(ArtifactIncompatibleError, match=name):
        replace(uncertainty(), **{name: np.zeros_like(getattr(uncertainty(), name))})


@pytest.mark.parametrize("name", ["gain_x", "gain_y", "best_x", "best_y"])
def test_a_curve_that_falls_is_refused(name: str) -> None:
    with pytest.raises(ArtifactIncompatibleError, match=name[:4]):
        replace(uncertainty(), **{name: getattr(uncertainty(), name)[::-1]})


@pytest.mark.parametrize("curve", ["gain", "best"])
def test_a_curve_without_knots_is_refused(curve: str) -> None:
    none: dict[str, Any] = {f"{curve}_x": np.zeros(0), f"{curve}_y": np.zeros(0)}
    with pytest.raises(ArtifactIncompatibleError, match=curve):
        replace(uncertainty(), **none)


@pytest.mark.parametrize("name", ARRAYS)
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    values = getattr(uncertainty(), name)
    longer = np.concatenate([values, values[:1]])
    wrong = [np.zeros(()), values[..., None], np.zeros((0,) * values.ndim), longer]
    for shaped in wrong:
        with pytest.raises(ArtifactIncompatibleError):
            replace(uncertainty(), **{name: shaped})
