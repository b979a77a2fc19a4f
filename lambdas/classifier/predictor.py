"""One live artifact: predict from memory, from the table, or by encoding."""

from dataclasses import dataclass, field

from regroup.artifact import Manifest
from regroup.domain.decision import CacheState
from regroup.domain.prediction import Heads, Prediction
from regroup.domain.query import Query
from regroup.domain.recency import RecentPredictions
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
        prediction = self.heads.predict(self.encoder.encode(query.text))
        self.recent.put(key, prediction)
        if state is CacheState.MISS:
            self._write(key, prediction, now)
        return prediction, state

    def _read(self, key: str, now: float) -> tuple[Prediction | None, CacheState]:
        if self.cache is None:
            return None, CacheState.MISS
        try:
            stored = self.cache.get(key, now)
        except StoreError:
            self.telemetry.count("CacheBypassed")
            return None, CacheState.BYPASSED
        known = set(self.heads.candidates)
        if stored is None or not set(stored.rewards) == set(stored.output_tokens) == known:
            return None, CacheState.MISS
        return stored, CacheState.HIT

    def _write(self, key: str, prediction: Prediction, now: float) -> None:
        if self.cache is None:
            return
        try:
            self.cache.put(key, prediction, now)
        except StoreError:
            self.telemetry.count("CacheWriteFailed")
