"""Answer chat requests: decide, set money aside, ask, and record what came of it."""

from dataclasses import dataclass, replace

from classifier.ask import Ask, Rules
from classifier.budgets import Budgets, Purse
from classifier.caller import Caller
from classifier.decider import Decider
from classifier.record import AnswerStream, Record, Recorder, status_of
from classifier.refusals import budget_exhausted
from regroup.domain.budget import budget_day
from regroup.domain.decision import Decision
from regroup.domain.events import decision_line
from regroup.domain.fallback import Deadline
from regroup.domain.query import query_from_turns
from regroup.errors import BudgetExhaustedError, BudgetUnknownError, RequestError
from regroup.ports import Clock, Telemetry

_BUDGET_TRIES = 3
"""How often a candidate is chosen anew because others spent the budget meanwhile."""


@dataclass(frozen=True, slots=True)
class RouteService:
    """Routes and answers chat requests."""

    decider: Decider
    caller: Caller
    budgets: Budgets
    recorder: Recorder
    telemetry: Telemetry
    clock: Clock
    rules: Rules

    def decide(self, ask: Ask, deadline: Deadline) -> Decision:
        """Decide who should answer, without asking anyone.

        Raises:
            UnprocessableError: no candidate can serve the request; the message says why of each.
            BudgetExhaustedError: the key's budget holds none that could.
        """
        purse = self._purse(ask)
        seconds = deadline.at - self.clock.monotonic()
        explained = replace(ask, explain=True)
        try:
            decision = self.decider.decide(explained, seconds=seconds, closed=purse.closed)
        except BudgetExhaustedError as error:
            if purse.is_unknown:
                raise BudgetUnknownError("the budget could not be read") from error
            raise
        line = decision_line(decision, None, key_id=ask.key_id, at=self.clock.wall())
        self.telemetry.event(line)
        return decision

    def answer(self, ask: Ask, deadline: Deadline) -> AnswerStream:
        """Decide, ask the candidates in turn until one begins to answer, and return its stream.

        The decision is recorded when the stream ends or is closed, or before an error is raised.

        Raises:
            UnprocessableError: no candidate can serve the request.
            BudgetExhaustedError: the key's budget of the day cannot hold it.
            BudgetUnknownError: the budget cannot be read, and nobody may answer then.
            UpstreamRejectedError: the request itself is malformed.
            NoAnswerError: every candidate failed.
            DeadlineError: the time was up before one answered.
        """
        started = self.clock.monotonic()
        purse, query = self._purse(ask), query_from_turns(ask.chat.turns).text
        decision = self._decide_and_hold(ask, deadline.at - started, purse)
        record = Record(self.recorder, decision, purse, ask.key_id, query, started, deadline)
        try:
            begun = self.caller.begin(
                decision,
                ask.chat,
                deadline,
                can_pay=lambda name: purse.hold(decision.dearest[name]),
                attempts=record.attempts,
            )
        except Exception as error:  # a mistake of ours leaves a line as well
            record.close(status=status_of(error))
            raise
        record.first_byte_at = self.clock.monotonic()
        return AnswerStream(
            decision,
            begun.candidate,
            begun.first,
            begun.rest,
            record,
            deadline,
            self.caller.note_failure,
        )

    def _purse(self, ask: Ask) -> Purse:
        day = budget_day(self.clock.wall(), self.rules.timezone)
        return self.budgets.purse(ask.key_id, ask.budget, day)

    def _decide_and_hold(self, ask: Ask, seconds: float, purse: Purse) -> Decision:
        try:
            return self._affordable(ask, seconds, purse)
        except BudgetUnknownError:
            self._note_refusal(ask, 503, "budget_unknown")
            raise
        except BudgetExhaustedError as error:
            if purse.is_unknown:
                # Only the cheapest is open, and the request wants another.
                self._note_refusal(ask, 503, "budget_unknown")
                raise BudgetUnknownError("the budget could not be read") from error
            self._note_refusal(ask, error.status, error.code)
            raise
        except RequestError as error:
            self._note_refusal(ask, error.status, error.code)
            raise

    def _affordable(self, ask: Ask, seconds: float, purse: Purse) -> Decision:
        """Decide for a candidate that the budget holds, and set aside the most it may cost."""
        drawn: Decision | None = None
        for _ in range(_BUDGET_TRIES):
            decision = self.decider.decide(ask, seconds=seconds, closed=purse.closed)
            if purse.hold(decision.dearest[decision.choice.candidate]):
                return decision if drawn is None else _redrawn(drawn, decision)
            # Others spent the money meanwhile. What comes now is not drawn a second time.
            drawn = drawn or decision
            ask = replace(ask, explore=False)
        raise budget_exhausted(
            self.clock.wall(), self.rules.timezone, ask.budget, decision.dearest.values()
        )

    def _note_refusal(self, ask: Ask, status: int, code: str) -> None:
        """Leave a line of a request that nobody was asked about."""
        self.telemetry.count("Refused")
        line = {"event": "refused", "at": round(self.clock.wall(), 3), "key_id": ask.key_id}
        self.telemetry.event({**line, "status": status, "code": code})


def _redrawn(first: Decision, second: Decision) -> Decision:
    """Return the second decision with the probabilities that led to it.

    The first was drawn; whoever could not be paid for left its probability to the second's choice.
    """
    behaviour = {name: first.behaviour.get(name, 0.0) for name in second.behaviour}
    behaviour[second.choice.candidate] += 1.0 - sum(behaviour.values())
    return replace(second, behaviour=behaviour, explore_allowed=first.explore_allowed)
