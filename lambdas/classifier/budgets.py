"""Set aside what a request may cost at most, before anything is asked, and settle afterwards."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from regroup.domain.budget import Amount, Budget, BudgetDay
from regroup.errors import BudgetUnknownError, StoreError
from regroup.ports import BudgetStore, Telemetry

type WhenUnknown = Literal["cheapest", "closed", "open"]
"""Who may answer a key whose budget cannot be read."""

NOTHING = Amount(0, 0)


@dataclass(slots=True)
class Budgets:
    """The budgets of all keys, and what this function instance last saw of each."""

    store: BudgetStore | None
    telemetry: Telemetry
    when_unknown: WhenUnknown = "cheapest"
    spent: dict[str, tuple[str, Amount]] = field(default_factory=dict)
    """By key id: the day and what was spent in it, as last seen."""

    def purse(self, key_id: str | None, budget: Budget, day: BudgetDay) -> "Purse":
        """Return what one request pays from."""
        limited = budget if key_id is not None and self.store is not None else Budget()
        return Purse(self, key_id or "", limited, day)


@dataclass(slots=True)
class Purse:
    """One request's money: amounts are set aside before a call, and settled once after it."""

    _budgets: Budgets
    _key_id: str
    _budget: Budget
    _day: BudgetDay
    held: Amount = NOTHING
    is_unknown: bool = False
    """Whether the budget could not be read."""
    _settled: bool = False

    def closed(self, dearest: Mapping[str, Amount]) -> Collection[str]:
        """Return the candidates that the budget cannot pay for, by what was last seen of it.

        Args:
            dearest: the most that a call of each candidate still able may use.
        """
        if self.is_unknown:
            cheapest = min(dearest, key=lambda n: (dearest[n].usd_micros, n), default="")
            return dearest.keys() - {cheapest}
        day, spent = self._budgets.spent.get(self._key_id, ("", NOTHING))
        if day != self._day.name:
            spent = NOTHING
        return {name for name, most in dearest.items() if not self._budget.holds(most, spent)}

    def hold(self, most: Amount) -> bool:
        """Set aside the most that a call may use; tell whether the budget holds it.

        Called again, only the difference to what is held already is set aside.

        Raises:
            BudgetUnknownError: the budget cannot be read, and nobody may answer then.
        """
        missing = most - self.held
        more = Amount(max(0, missing.usd_micros), max(0, missing.tokens))
        store = self._budgets.store
        if not self._budget or store is None or self.is_unknown or more == NOTHING:
            return True
        try:
            holding = store.hold(self._key_id, more, self._budget, self._day)
        except StoreError as error:
            return self._go_on_blindly(error)
        self._budgets.spent[self._key_id] = (self._day.name, holding.spent)
        if holding.granted:
            self.held = Amount(
                self.held.usd_micros + more.usd_micros, self.held.tokens + more.tokens
            )
        return holding.granted

    def settle(self, used: Amount | None) -> None:
        """Give back what was set aside and not used; None: nobody knows what was, so keep all."""
        if self._settled or self._budgets.store is None or self.held == NOTHING:
            return
        self._settled = True
        change = NOTHING if used is None else used - self.held
        if change == NOTHING:
            return
        try:
            self._budgets.store.settle(self._key_id, change, self._day)
        except StoreError:
            # What was set aside stays so until midnight: too much is counted, never too little.
            self._budgets.telemetry.count("BudgetNotSettled")

    def _go_on_blindly(self, error: StoreError) -> bool:
        self._budgets.telemetry.count("BudgetUnknown")
        if self._budgets.when_unknown == "closed":
            raise BudgetUnknownError("the budget could not be read") from error
        self.is_unknown = True
        # Under `cheapest` the caller decides again, now that the dear candidates are closed.
        return self._budgets.when_unknown == "open"
