"""What is remembered of conversations: in the table, and in memory for when it fails."""

from collections import OrderedDict
from dataclasses import dataclass, field

from regroup.domain.conversation import Session
from regroup.errors import StoreError
from regroup.ports import SessionStore, Telemetry

_CAPACITY = 2_000


@dataclass(slots=True)
class Sessions:
    """Conversations by `session_name`; each function instance also keeps the latest it saw."""

    store: SessionStore | None
    telemetry: Telemetry
    ttl_seconds: float
    """How long memory keeps a conversation; the table knows for itself."""
    _latest: OrderedDict[str, Session] = field(default_factory=OrderedDict)

    def recall(self, name: str, now: float) -> Session | None:
        """Return what is known of a conversation; a table that fails leaves what is in memory."""
        known = self._latest.get(name)
        if known is not None and now - known.at >= self.ttl_seconds:
            known = None
        if self.store is None:
            return known
        try:
            stored = self.store.get(name, now)
        except StoreError:
            self.telemetry.count("SessionsBypassed")
            return known
        # The table knows what other instances answered; memory, what the table did not take.
        return max((s for s in (known, stored) if s), key=lambda s: s.at, default=None)

    def remember(self, name: str, session: Session, now: float) -> None:
        """Keep a conversation's latest state."""
        self._latest[name] = session
        self._latest.move_to_end(name)
        while len(self._latest) > _CAPACITY:
            self._latest.popitem(last=False)
        if self.store is None:
            return
        try:
            self.store.put(name, session, now)
        except StoreError:
            self.telemetry.count("SessionLost")
