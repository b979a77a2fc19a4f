"""How long the parts of something took."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stopwatch:
    """Adds up named parts of the time since it was made; parts may come again, and none overlap."""

    clock: Callable[[], float]
    """Seconds that never jump."""
    _seconds: dict[str, float] = field(default_factory=dict)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin the total."""
        self._began = self.clock()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside, also if it fails, to one part."""
        began = self.clock()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + self.clock() - began

    def milliseconds(self) -> dict[str, float]:
        """Return each part and the total until now, to a tenth, under names that end in `_ms`."""
        seconds = {**self._seconds, "total": self.clock() - self._began}
        return {f"{name}_ms": round(1000 * value, 1) for name, value in seconds.items()}
