"""Set aside what a request may cost at most, before anything is asked, and settle afterwards."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from regroup.domain.budget import Amount, Budget, BudgetDay
from regroup.errors import BudgetUnknownError, StoreError
from regroup.ports import BudgetStore, Telemetry

type WhenUnknown = Literal["cheapest", "closed", "open"]
"""Who may answer a key whose budget cannot be read."""

NOTHING = Amount(0, 0)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of all keys."""

    store: BudgetStore | None
    telemetry: Telemetry
    when_unknown: WhenUnknown = "cheapest"

    def purse(self, key_id: str | None, budget: Budget, day: BudgetDay) -> "Purse":
        """Return what one request pays from."""
        return Purse(self, key_id, budget, day)


@dataclass(slots=True)
class Purse:
    """One request's money: amounts are set aside before a call, and settled once after it."""

    _budgets: Budgets
    _key_id: str | None
    _budget: Budget
    _day: BudgetDay
    held: Amount = NOTHING
    is_unknown: bool = False
    """Whether the budget could not be read."""
    _spent: Amount | None = None
    """By all requests of the key in this day, as last seen."""
    _least: Amount = NOTHING
    """The most that a call of the cheapest candidate may use."""
    _settled: bool = False

    def closed(self, dearest: Mapping[str, Amount]) -> Collection[str]:
        """Return the candidates that the budget cannot pay for.

        Args:
            dearest: the most that a call of each candidate still able may use.

        Raises:
            BudgetUnknownError: the budget cannot be read, and nobody may answer then.
        """
        store, key_id = self._budgets.store, self._key_id
        if store is None or key_id is None or not self._budget:
            return ()
        self._least = min(dearest.values(), key=lambda most: most.usd_micros, default=NOTHING)
        if self._spent is None and not self.is_unknown:
            try:
                self._spent = store.spent(key_id, self._day)
            except StoreError as error:
                self._go_on_blindly(error)
        if self._spent is None:
            return self._closed_blindly(dearest)
        spent = self._spent
        return {name for name, most in dearest.items() if not self._budget.holds(most, spent)}

    def hold(self, most: Amount) -> bool:
        """Set aside the most that a call may use; tell whether the budget holds it.

        Called again, only the difference to what is held already is set aside.

        Raises:
            BudgetUnknownError: the budget cannot be read, and nobody may answer then.
        """
        store, key_id = self._budgets.store, self._key_id
        if store is None or key_id is None or not self._budget:
            return True
        if self.is_unknown:
            # A fallback may come here as well: under `cheapest` it leads to nobody dearer.
            is_open = self._budgets.when_unknown == "open"
            return is_open or most.usd_micros <= self._least.usd_micros
        missing = most - self.held
        more = Amount(max(0, missing.usd_micros), max(0, missing.tokens))
        if more == NOTHING:
            return True
        try:
            holding = store.hold(key_id, more, self._budget, self._day)
        except StoreError as error:
            self._go_on_blindly(error)
            # Under `cheapest` it is decided again, now that the dear candidates are closed.
            return self._budgets.when_unknown == "open"
        # Others may have spent meanwhile.
        self._spent = holding.spent
        if holding.granted:
            self.held += more
        return holding.granted

    def settle(self, used: Amount | None) -> None:
        """Give back what was set aside and not used; None: nobody knows what was, so keep all."""
        store, key_id = self._budgets.store, self._key_id
        change = NOTHING if used is None else used - self.held
        if self._settled or store is None or key_id is None or not self._budget:
            return
        if change == NOTHING:
            return
        self._settled = True
        try:
            store.settle(key_id, change, self._day)
        except StoreError:
            # What was set aside stays so until midnight: too much is counted, never too little.
            self._budgets.telemetry.count("BudgetNotSettled")

    def _closed_blindly(self, dearest: Mapping[str, Amount]) -> Collection[str]:
        if self._budgets.when_unknown == "open":
            return ()
        cheapest = min(dearest, key=lambda name: (dearest[name].usd_micros, name), default=None)
        return {name for name in dearest if name != cheapest}

    def _go_on_blindly(self, error: StoreError) -> None:
        self._budgets.telemetry.count("BudgetUnknown")
        if self._budgets.when_unknown == "closed":
            raise BudgetUnknownError("the budget could not be read") from error
        self.is_unknown, self._spent = True, None
