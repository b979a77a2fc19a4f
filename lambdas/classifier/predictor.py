"""One live artifact: predict from memory, from the table, or by encoding."""

from dataclasses import dataclass, field, replace

import numpy as np

from regroup.artifact import Manifest
from regroup.domain.decision import CacheState, Confidence
from regroup.domain.prediction import Heads, Prediction
from regroup.domain.query import Query
from regroup.domain.recency import RecentPredictions
from regroup.domain.uncertainty import Uncertainty, probability_best
from regroup.errors import StoreError
from regroup.ports import Encoder, PredictionCache, Telemetry


@dataclass(slots=True)
class Predictor:
    """Predicts with one artifact, through two caches of which either may be missing."""

    digest: str
    manifest: Manifest
    heads: Heads
    encoder: Encoder
    telemetry: Telemetry
    cache: PredictionCache | None = None
    uncertainty: Uncertainty | None = None
    recent: RecentPredictions = field(default_factory=RecentPredictions)

    def predict(self, query: Query, now: float) -> tuple[Prediction, CacheState]:
        """Return the prediction of a query and where it came from.

        Args:
            query: what to predict for.
            now: seconds since 1970, to judge the table's items by.
        """
        key = query.digest(self.digest)
        remembered = self.recent.get(key)
        if remembered is not None:
            return remembered, CacheState.MEMORY
        stored, state = self._read(key, now)
        if stored is not None:
            self.recent.put(key, stored)
            return stored, state
        prediction = self.predict_text(query.text)
        self.recent.put(key, prediction)
        if state is CacheState.MISS:
            self._write(key, prediction, now)
        return prediction, state

    def predict_text(self, text: str) -> Prediction:
        """Return the prediction of a query's text, past all caches."""
        embedding = self.encoder.encode(text)
        prediction = self.heads.predict(embedding)
        if self.uncertainty is None:
            return prediction
        cluster = prediction.cluster
        errors = self.uncertainty.standard_errors(embedding, cluster).tolist()
        choice_errors = self.uncertainty.choice_errors(embedding, cluster).tolist()
        names = self.heads.candidates
        return replace(
            prediction,
            reward_errors=dict(zip(names, errors, strict=True)),
            choice_errors=dict(zip(names, choice_errors, strict=True)),
        )

    def confidence(
        self, prediction: Prediction, chosen: str, among: tuple[str, ...]
    ) -> Confidence | None:
        """Return how sure a choice among these candidates is; None where nothing is known of it."""
        if self.uncertainty is None or not prediction.choice_errors:
            return None
        rewards = np.array([prediction.rewards[name] for name in among])
        errors = np.array([prediction.choice_errors[name] for name in among])
        default = self.manifest.default_candidate
        gain = None
        if default in among:
            lead = prediction.rewards[chosen] - prediction.rewards[default]
            gain = float(self.uncertainty.expected_gain(lead))
        return Confidence(
            probability_best=float(probability_best(rewards, errors, among.index(chosen))),
            expected_gain=gain,
        )

    def _read(self, key: str, now: float) -> tuple[Prediction | None, CacheState]:
        if self.cache is None:
            return None, CacheState.MISS
        try:
            stored = self.cache.get(key, now)
        except StoreError:
            self.telemetry.count("CacheBypassed")
            return None, CacheState.BYPASSED
        if stored is None or not self._fits(stored):
            return None, CacheState.MISS
        return stored, CacheState.HIT

    def _fits(self, stored: Prediction) -> bool:
        known = set(self.heads.candidates)
        errors = known if self.uncertainty is not None else set()
        return (
            set(stored.rewards) == set(stored.output_tokens) == known
            and set(stored.reward_errors) == set(stored.choice_errors) == errors
        )

    def _write(self, key: str, prediction: Prediction, now: float) -> None:
        if self.cache is None:
            return
        try:
            self.cache.put(key, prediction, now)
        except StoreError:
            self.telemetry.count("CacheWriteFailed")
