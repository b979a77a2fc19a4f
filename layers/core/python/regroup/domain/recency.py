"""The predictions of the latest queries, in memory."""

from collections import OrderedDict
from dataclasses import dataclass, field

from regroup.domain.prediction import Prediction


@dataclass(slots=True)
class RecentPredictions:
    """Keeps the latest predictions by query digest, at most `capacity` of them.

    A prediction is a function of query and artifact alone, so it never goes stale.
    """

    capacity: int = 2_000
    _kept: OrderedDict[str, Prediction] = field(default_factory=OrderedDict)

    def get(self, query_hash: str) -> Prediction | None:
        """Return a prediction and mark it as just used."""
        prediction = self._kept.get(query_hash)
        if prediction is not None:
            self._kept.move_to_end(query_hash)
        return prediction

    def put(self, query_hash: str, prediction: Prediction) -> None:
        """Keep a prediction; the one unused for longest goes."""
        self._kept[query_hash] = prediction
        self._kept.move_to_end(query_hash)
        while len(self._kept) > self.capacity:
            self._kept.popitem(last=False)
