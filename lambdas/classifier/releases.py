"""The live router: follows the pointer, loads the next version beside the old one, then swaps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from classifier.predictor import Predictor
from regroup.domain.decision import Arm
from regroup.domain.pointer import Mode, Pointer
from regroup.domain.policy import draw_for
from regroup.errors import (
    ArtifactError,
    ArtifactNotFoundError,
    ConfigurationError,
    StoreError,
)
from regroup.ports import Telemetry


@dataclass(frozen=True, slots=True)
class Live:
    """What decides at a moment: one champion, and perhaps a challenger beside it."""

    champion: Predictor | None = None
    challenger: Predictor | None = None
    mode: Mode = "off"
    share: float = 0.0
    """The part of conversations that the challenger decides."""
    since: float | None = None
    """When the champion went live in this function instance, in seconds since 1970."""

    def arm_of(self, session_name: str) -> Arm:
        """Return which version decides a conversation: always the same one while both are live."""
        if self.challenger is None or self.mode != "canary":
            return "champion"
        luck = draw_for(f"canary {self.challenger.digest} {session_name}")
        return "challenger" if luck < self.share else "champion"


@dataclass(frozen=True, slots=True)
class Source:
    """Where releases come from."""

    read: Callable[[], tuple[str, Pointer]]
    """Returns the pointer and the tag of its object; may raise `ArtifactError`, `StoreError`."""
    load: Callable[[str, bool], Predictor]
    """Returns a checked predictor for a digest; may raise the same, and `ConfigurationError`.

    The flag says that somebody waits, so that only the short golden texts are tried.
    """


@dataclass(slots=True)
class Releases:
    """Keeps `live` in step with the pointer without ever letting a request wait for it.

    A version that cannot be loaded, or does not predict its golden texts, changes nothing: what
    was live stays, a metric says so, and it is not tried again until the pointer moves.
    """

    source: Source | None
    telemetry: Telemetry
    wall: Callable[[], float]
    monotonic: Callable[[], float]
    run: Callable[[Callable[[], None]], None]
    """Runs a check beside the requests: in a thread, or at once in a test."""
    check_seconds: float = 30.0
    """How often the pointer is looked at, at most."""
    live: Live = field(default_factory=Live)
    is_degraded: bool = False
    """Whether the pointer names something that is not what decides here."""
    _tag: str | None = None
    _refused: bool = False
    """Whether the pointer of that tag named a version that was refused."""
    _ready: dict[str, Predictor] = field(default_factory=dict)
    """Loaded while the rest of a release could not be read."""
    _checked_at: float | None = None
    _checking: bool = False

    def current(self) -> Live:
        """Return what decides now, and see to it that the pointer is looked at when it is due."""
        now = self.monotonic()
        due = self._checked_at is None or now - self._checked_at >= self.check_seconds
        if self.source is not None and due and not self._checking:
            self._begin(self._check)
        return self.live

    def start(self) -> None:
        """Look at the pointer for the first time, while nobody waits.

        Raises:
            ConfigurationError: the artifact is sound, but contradicts an explicit setting.
            StoreError: S3 did not answer; Lambda will build again on the next request.
        """
        self._checked_at = self.monotonic()
        self._follow(in_haste=True)

    def resume(self, seconds: float) -> None:
        """Look at the pointer anew after a snapshot was restored, which may be weeks old.

        Where it cannot be followed within `seconds`, what was live stays and a metric says so; a
        check that takes longer goes on beside the requests.
        """
        if self.source is None:
            return
        ended = Event()

        def check() -> None:
            self._check(in_haste=True)
            ended.set()

        if self._begin(check) and not ended.wait(seconds):
            self.telemetry.count("PointerNotFollowed")

    def _begin(self, check: Callable[[], None]) -> bool:
        """Run a check beside the requests; tell whether one could be begun."""
        self._checked_at, self._checking = self.monotonic(), True
        try:
            self.run(check)
        except RuntimeError as error:  # no thread can be started
            self._checking = False
            self.telemetry.failure("pointer not looked at", error)
            return False
        return True

    def _check(self, *, in_haste: bool = False) -> None:
        try:
            self._follow(in_haste=in_haste)
        except (ConfigurationError, StoreError) as error:
            # What is live stays live; a store that failed is asked again at the next check.
            self.telemetry.failure(f"pointer not followed: {error}", error)
            self.telemetry.count("PointerNotFollowed")
            self.is_degraded = self.is_degraded or isinstance(error, ConfigurationError)
        except Exception as error:  # whatever a version stumbles over, a thread must not end unseen
            self.telemetry.failure("pointer not followed", error)
            self.telemetry.count("PointerNotFollowed")
            self.is_degraded = True
        finally:
            self._checking = False

    def _follow(self, *, in_haste: bool) -> None:
        if self.source is None:
            return
        try:
            tag, pointer = self.source.read()
        except ArtifactNotFoundError as error:
            # Normal on day 0. Once a router is live, a pointer that is gone takes nothing away.
            self.telemetry.failure(f"no router is published: {error}", error)
            return
        except ArtifactError as error:
            self._refuse(error)
            return
        if tag == self._tag:
            # The pointer may have been put back as it was, after one that could not be read.
            self.is_degraded = self._refused
            return
        before, refused = self.live, False
        champion = self._load(self.source, pointer.champion, in_haste)
        if champion is None:
            champion, refused = before.champion, True
        challenger = None
        if pointer.challenger is not None and pointer.mode != "off":
            challenger = self._load(self.source, pointer.challenger, in_haste)
            refused = refused or challenger is None
        same = before.champion is not None and champion is before.champion
        self.live = Live(
            champion=champion,
            challenger=challenger,
            mode="off" if challenger is None else pointer.mode,
            share=pointer.share,
            since=before.since if same else self.wall(),
        )
        self.is_degraded, self._refused, self._tag = refused, refused, tag
        self._ready.clear()

    def _load(self, source: Source, digest: str, in_haste: bool) -> Predictor | None:
        """Return the predictor of a digest, the very one that is live where it is."""
        for known in (self.live.champion, self.live.challenger, self._ready.get(digest)):
            if known is not None and known.digest == digest:
                return known
        try:
            loaded = source.load(digest, in_haste)
        except ArtifactError as error:
            self._refuse(error)
            return None
        self._ready[digest] = loaded
        return loaded

    def _refuse(self, error: ArtifactError) -> None:
        self.is_degraded = True
        self.telemetry.failure(f"artifact rejected: {error}", error)
        self.telemetry.count("ArtifactRejected")
