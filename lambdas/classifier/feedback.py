"""Take what a caller says of an answer afterwards, and write it down as that decision's reward."""

from dataclasses import dataclass

from regroup.domain.feedback import DecisionRecord, reward_line
from regroup.errors import StoreError, UnknownDecisionError, UnprocessableError
from regroup.ports import Clock, DecisionStore, InteractionQueue, Telemetry


@dataclass(frozen=True, slots=True)
class FeedbackService:
    """Writes rewards down, for the caller that got the answer and nobody else."""

    store: DecisionStore | None
    """None: the deployment remembers no decisions."""
    queue: InteractionQueue | None
    """None: rewards stay in the log alone."""
    telemetry: Telemetry
    clock: Clock

    def judge(self, decision_id: str, reward: float, key_id: str | None) -> dict[str, object]:
        """Write down the reward of a decision and return the `reward_scored` line.

        Args:
            decision_id: as the answer's `x-regroup-decision-id` named it.
            reward: in [0, 1].
            key_id: who judges; it must be who asked.

        Raises:
            UnprocessableError: feedback is off.
            UnknownDecisionError: no such decision is remembered for this key.
            StoreError: the table of decisions did not answer; nothing was written.
        """
        now = self.clock.wall()
        line = reward_line(self._find(decision_id, key_id, now), reward, at=now)
        # The log first: what the queue does not take is still written down.
        self.telemetry.event(line)
        self.telemetry.count("Feedback")
        if self.queue is not None:
            try:
                self.queue.send(line)
            except StoreError:
                self.telemetry.count("FeedbackLost")
        return line

    def _find(self, decision_id: str, key_id: str | None, now: float) -> DecisionRecord:
        if self.store is None:
            raise UnprocessableError(
                "This deployment takes no feedback: DECISIONS_TABLE is not set.",
                code="feedback_off",
            )
        record = self.store.get(decision_id, now)
        # One answer for all three: another key's decision must not be told from one never made.
        if record is None or record.key_id != key_id:
            raise UnknownDecisionError(
                "No decision of this id is remembered for this key; "
                "how long decisions are remembered is set by the deployment.",
                code="decision_not_found",
                param="decision_id",
            )
        return record
