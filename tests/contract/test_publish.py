"""Publishing: the pointer moves last, by compare-and-swap, and only to a whole artifact.

Before that is a door: a learned router must pay, and must keep up with what is live.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.adapters.object_store import FolderStore
from regroup.artifact import (
    MANIFEST,
    PARTS,
    AgainstChampion,
    Verdict,
    digest_of,
    load_artifact,
    write_artifact,
)
from regroup.domain.pointer import Pointer, read_pointer
from regroup.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    DataError,
    PointerConflictError,
    ReleaseRefusedError,
    StoreError,
)
from regroup.ports import ObjectStore, Stored
from tests.local.small_artifact import small_artifact
from training.publish import find_objection, publish, status

POINTER = "pointer.json"
WRITES = len(PARTS) + 2
"""The parts, the manifest, the pointer."""

NO = Verdict(False, "do not route: use a (gain -1.0 points)", -0.01, -0.02, 0.005)


def new_artifact(folder: Path, **changes: Any) -> tuple[Path, str]:
    """Write an artifact that is unlike any other; return its folder and digest."""
    manifest, parts = small_artifact()
    return folder, write_artifact(folder, replace(manifest, **changes), parts)


def live(store: ObjectStore) -> str:
    """Load what the pointer names, as the classifier does; return its digest."""
    digest = read_pointer(store.read(POINTER).content).champion
    return load_artifact(
        digest, lambda name: store.read(f"artifacts/{digest}/{name}").content
    ).digest


def put(
    folder: Path,
    store: ObjectStore,
    *,
    who: str = "ann",
    why: str = "because",
    force: str | None = None,
) -> Pointer:
    return publish(folder, store, POINTER, who=who, why=why, force=force)


class Watched:
    """A store that does something before a write, and counts the writes that came through."""

    def __init__(self, store: ObjectStore, before: Callable[[int, str], None]) -> None:
        self._store = store
        self._before = before
        self.writes: list[str] = []

    def read(self, key: str) -> Stored:
        return self._store.read(key)

    def create(self, key: str, content: bytes) -> bool:
        self._before(len(self.writes), key)
        self.writes.append(key)
        return self._store.create(key, content)

    def replace(self, key: str, content: bytes, *, tag: str | None) -> None:
        self._before(len(self.writes), key)
        self.writes.append(key)
        self._store.replace(key, content, tag=tag)


def killed_after(writes: int) -> Callable[[int, str], None]:
    def before(done: int, key: str) -> None:
        if done == writes:
            raise StoreError(f"killed before {key}")

    return before


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, str]:
    """The best single candidate, which may always go live."""
    return new_artifact(tmp_path / "old", router="best-single")


@pytest.fixture
def new(tmp_path: Path, old: tuple[Path, str]) -> tuple[Path, str]:
    """A learned router, better than the old one."""
    better = AgainstChampion(old[1], 0.05, 0.02, 0.08, rows=400)
    return new_artifact(tmp_path / "new", against_champion=better)


@pytest.fixture
def worse(tmp_path: Path) -> tuple[Path, str]:
    """A learned router that pays not even by its own verdict."""
    return new_artifact(tmp_path / "worse", verdict=NO)


def test_what_is_published_is_live(store: FolderStore, old: tuple[Path, str]) -> None:
    folder, digest = old
    pointer = put(folder, store, who="ann", why="the first")
    assert pointer == Pointer(digest, who="ann", why="the first")
    found = status(store, POINTER)
    assert found.pointer == pointer
    assert found.manifest.to_bytes() == (folder / MANIFEST).read_bytes()
    assert live(store) == digest


def test_the_second_publication_keeps_the_first_as_previous(
    store: FolderStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    put(old[0], store)
    pointer = put(new[0], store, who="bob", why="better")
    assert pointer == Pointer(new[1], previous=old[1], who="bob", why="better")
    assert status(store, POINTER).pointer == pointer
    assert live(store) == new[1]


def test_publishing_the_same_artifact_twice_is_harmless(
    store: FolderStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    put(old[0], store)
    first = put(new[0], store)
    assert put(new[0], store) == first
    assert live(store) == new[1]


def test_publishing_the_previous_artifact_is_a_rollback(
    store: FolderStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    for folder, _ in (old, new, old):
        pointer = put(folder, store)
    assert (pointer.champion, pointer.previous) == (old[1], new[1])
    assert live(store) == old[1]


def test_the_pointer_is_written_last_and_the_manifest_before_it(
    store: FolderStore, old: tuple[Path, str]
) -> None:
    watched = Watched(store, lambda _done, _key: None)
    put(old[0], watched)
    parts = [f"artifacts/{old[1]}/{name}" for name in PARTS]
    assert set(watched.writes[:-2]) == set(parts)
    assert watched.writes[-2:] == [f"artifacts/{old[1]}/{MANIFEST}", POINTER]
    assert len(watched.writes) == WRITES


@pytest.mark.parametrize("published_before", [True, False])
@pytest.mark.parametrize("write", [0, WRITES - 1])
def test_a_pointer_moved_meanwhile_stays(
    write: int,
    published_before: bool,
    store: FolderStore,
    old: tuple[Path, str],
    new: tuple[Path, str],
) -> None:
    theirs = Pointer("f" * 64, who="someone else")
    if published_before:
        put(old[0], store)

    def meanwhile(done: int, _key: str) -> None:
        if done == write:
            tag = store.read(POINTER).tag if published_before else None
            store.replace(POINTER, theirs.to_bytes(), tag=tag)

    with pytest.raises(PointerConflictError, match="changed meanwhile"):
        put(new[0], Watched(store, meanwhile))
    assert read_pointer(store.read(POINTER).content) == theirs


@pytest.mark.parametrize("writes", range(WRITES))
def test_killed_at_any_write_the_old_router_stays_and_a_rerun_completes(
    writes: int, store: FolderStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    put(old[0], store)
    with pytest.raises(StoreError, match="killed before"):
        put(new[0], Watched(store, killed_after(writes)))
    assert live(store) == old[1]
    assert status(store, POINTER).pointer.champion == old[1]

    assert put(new[0], store).previous == old[1]
    assert live(store) == new[1]


@pytest.mark.parametrize("writes", range(WRITES))
def test_killed_at_any_write_of_the_first_publication_nothing_is_live(
    writes: int, store: FolderStore, new: tuple[Path, str]
) -> None:
    with pytest.raises(StoreError, match="killed before"):
        put(new[0], Watched(store, killed_after(writes)))
    with pytest.raises(ArtifactNotFoundError):
        live(store)

    assert put(new[0], store).previous is None
    assert live(store) == new[1]


@pytest.mark.parametrize("name", PARTS)
def test_a_flipped_byte_in_a_part_is_refused_before_anything_is_written(
    name: str, store: FolderStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    put(old[0], store)
    content = bytearray((new[0] / name).read_bytes())
    content[len(content) // 2] ^= 1
    (new[0] / name).write_bytes(content)
    watched = Watched(store, lambda _done, _key: None)
    with pytest.raises(ArtifactCorruptError, match=name):
        put(new[0], watched)
    assert watched.writes == []
    assert live(store) == old[1]


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_part_is_refused_before_anything_is_written(
    name: str, store: FolderStore, new: tuple[Path, str]
) -> None:
    (new[0] / name).unlink()
    watched = Watched(store, lambda _done, _key: None)
    with pytest.raises(ArtifactNotFoundError, match=f"{name} is missing: train again"):
        put(new[0], watched)
    assert watched.writes == []


@pytest.mark.parametrize("name", [*PARTS, MANIFEST])
def test_other_bytes_in_the_artifact_s_place_are_not_made_live(
    name: str, store: FolderStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    put(old[0], store)
    store.create(f"artifacts/{new[1]}/{name}", b"not those")
    with pytest.raises(ArtifactCorruptError, match=f"{name} lies in the store with other bytes"):
        put(new[0], store)
    assert live(store) == old[1]


@pytest.mark.parametrize("folder", ["empty", "missing", "file"])
def test_a_folder_without_a_manifest_is_refused_with_a_way_out(
    folder: str, store: FolderStore, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactNotFoundError, match=r"holds no manifest\.json: train first"):
        put(tmp_path / folder, store)


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"{}", b'{"champion": "x"}'])
def test_a_pointer_that_is_garbage_is_not_overwritten(
    garbage: bytes, store: FolderStore, new: tuple[Path, str]
) -> None:
    store.create(POINTER, garbage)
    watched = Watched(store, lambda _done, _key: None)
    with pytest.raises(ArtifactCorruptError, match=r"pointer\.json"):
        put(new[0], watched)
    with pytest.raises(ArtifactCorruptError, match=r"pointer\.json"):
        status(store, POINTER)
    assert watched.writes == []
    assert store.read(POINTER).content == garbage


def test_nothing_is_live_before_the_first_publication(store: FolderStore) -> None:
    with pytest.raises(ArtifactNotFoundError):
        status(store, POINTER)


def test_a_manifest_that_is_not_the_one_pointed_to_is_not_shown(
    store: FolderStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    put(old[0], store)
    key = f"artifacts/{old[1]}/{MANIFEST}"
    store.replace(key, (new[0] / MANIFEST).read_bytes(), tag=store.read(key).tag)
    with pytest.raises(ArtifactCorruptError, match=MANIFEST):
        status(store, POINTER)


@pytest.mark.parametrize("live_before", [True, False])
def test_a_learned_router_that_does_not_pay_is_refused_before_anything_is_written(
    live_before: bool, store: FolderStore, old: tuple[Path, str], worse: tuple[Path, str]
) -> None:
    if live_before:
        put(old[0], store)
    watched = Watched(store, lambda _done, _key: None)
    expected = r"ridge-cluster.* 'do not route: use a \(.*--router auto, or give --force 'reason'"
    with pytest.raises(ReleaseRefusedError, match=expected):
        put(worse[0], watched)
    assert watched.writes == []


def test_the_best_single_candidate_goes_live_over_any_champion(
    store: FolderStore, new: tuple[Path, str], tmp_path: Path
) -> None:
    put(new[0], store)
    folder, digest = new_artifact(tmp_path / "single", router="best-single", verdict=NO)
    put(folder, store)
    assert live(store) == digest


CHAMPION, OTHER = "c" * 64, "e" * 64
LOSSES: Mapping[str, tuple[AgainstChampion | None, str]] = {
    "no comparison": (None, f"champion is {CHAMPION}, and it was compared with nothing: train ag"),
    "another champion": (
        AgainstChampion(OTHER, 0.05, 0.02, 0.08, 400),
        f"champion is {CHAMPION}, and it was compared with {OTHER}: train again with --champion",
    ),
    "a loss": (
        AgainstChampion(CHAMPION, -0.031, -0.05, -0.012, 400),
        f"over the champion {CHAMPION} it gains -3.1 points (95 % interval -5.0 to -1.2, 400 "
        "rows), and the interval may reach down to -1.0: train again with --champion POINTER, "
        "collect more data, or give --force 'reason'",
    ),
    "too few rows to tell": (AgainstChampion(CHAMPION, 0.02, -0.011, 0.05, 60), "collect more"),
    "ends that are swapped": (AgainstChampion(CHAMPION, 0.02, 0.05, -0.02, 60), "5.0 to -2.0"),
    "no rows": (AgainstChampion(CHAMPION, 0.02, 0.01, 0.05, 0), "rests on no numbers: train"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_learned_router_not_shown_to_keep_up_with_the_champion_is_refused(
    name: str, store: FolderStore, tmp_path: Path
) -> None:
    against, sentence = LOSSES[name]
    store.create(POINTER, Pointer(CHAMPION).to_bytes())
    folder, _ = new_artifact(tmp_path / "new", against_champion=against)
    watched = Watched(store, lambda _done, _key: None)
    with pytest.raises(ReleaseRefusedError) as refused:
        put(folder, watched)
    assert str(refused.value).startswith(f"{folder} is not published: ")
    assert sentence in str(refused.value)
    assert watched.writes == []


SMALL = small_artifact()[0]
GOOD = AgainstChampion(CHAMPION, 0.05, 0.02, 0.08, 400)
ODD = (nan, inf, -inf, None, True, "0.1", [0.1], 10**400)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("field", ["gain", "gain_low", "gain_high"])
def test_a_verdict_on_what_is_no_number_never_passes(field: str, odd: object) -> None:
    changes: dict[str, Any] = {field: odd}
    manifest = replace(SMALL, verdict=replace(SMALL.verdict, **changes))
    assert find_objection(SMALL, OTHER, None) is None
    assert find_objection(manifest, OTHER, None) is not None


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("field", ["gain", "gain_low", "gain_high", "rows"])
def test_a_comparison_of_what_is_no_number_never_passes(field: str, odd: object) -> None:
    changes: dict[str, Any] = {field: odd}
    manifest = replace(SMALL, against_champion=replace(GOOD, **changes))
    assert find_objection(replace(manifest, against_champion=GOOD), OTHER, CHAMPION) is None
    assert find_objection(manifest, OTHER, CHAMPION) is not None


@pytest.mark.parametrize("route", [None, "false", "true", 1, nan])
def test_a_verdict_that_does_not_plainly_say_to_route_never_passes(route: object) -> None:
    changes: dict[str, Any] = {"route": route}
    manifest = replace(SMALL, verdict=replace(SMALL.verdict, **changes))
    assert find_objection(manifest, OTHER, None) is not None


numbers = st.floats(-1, 1) | st.floats()


@given(low=numbers, gain=numbers, high=numbers, allowed=st.floats(0, 1))
def test_exactly_what_may_lose_no_more_than_allowed_passes(
    low: float, gain: float, high: float, allowed: float
) -> None:
    against = AgainstChampion(CHAMPION, gain, low, high, 400)
    manifest = replace(SMALL, against_champion=against)
    sound = all(map(isfinite, (low, gain, high))) and low <= high
    passes = find_objection(manifest, OTHER, CHAMPION, allowed) is None
    assert passes == (sound and low >= -allowed)


def test_more_may_be_allowed_to_lose(store: FolderStore, tmp_path: Path) -> None:
    store.create(POINTER, Pointer(CHAMPION).to_bytes())
    against = AgainstChampion(CHAMPION, 0.02, -0.04, 0.08, 60)
    folder, digest = new_artifact(tmp_path / "new", against_champion=against)
    publish(folder, store, POINTER, who="ann", why="because", allowed_loss=0.05)
    assert live(store) == digest


@pytest.mark.parametrize("allowed", [nan, inf, -0.01, 1.01])
def test_an_allowed_loss_outside_of_rewards_is_refused(
    allowed: float, store: FolderStore, new: tuple[Path, str]
) -> None:
    with pytest.raises(DataError, match="the allowed loss is"):
        publish(new[0], store, POINTER, who="ann", why="because", allowed_loss=allowed)


def test_a_champion_with_no_good_numbers_can_be_published_again(
    store: FolderStore, worse: tuple[Path, str]
) -> None:
    for name in PARTS:
        store.create(f"artifacts/{worse[1]}/{name}", (worse[0] / name).read_bytes())
    store.create(POINTER, Pointer(worse[1]).to_bytes())
    assert put(worse[0], store, force="not needed").champion == worse[1]
    assert status(store, POINTER).manifest.forced is None


def test_a_reason_lets_a_worse_router_through_and_is_published_with_it(
    store: FolderStore, old: tuple[Path, str], worse: tuple[Path, str]
) -> None:
    put(old[0], store)
    before = (worse[0] / MANIFEST).read_bytes()
    pointer = put(worse[0], store, force="  the judge was ill on Monday 病気\n")
    assert live(store) == pointer.champion != worse[1]
    found = status(store, POINTER).manifest
    assert found.forced == "the judge was ill on Monday 病気"
    assert replace(found, forced=None).to_bytes() == before
    assert (worse[0] / MANIFEST).read_bytes() == before
    assert put(worse[0], store, force="the judge was ill on Monday 病気") == pointer
    assert pointer.previous == old[1]
    with pytest.raises(ReleaseRefusedError):
        put(worse[0], store)
    assert put(worse[0], store, force="another").previous == pointer.champion


@pytest.mark.parametrize("writes", range(WRITES))
def test_killed_at_any_write_of_a_forced_publication_a_rerun_gives_the_same_artifact(
    writes: int, store: FolderStore, worse: tuple[Path, str], tmp_path: Path
) -> None:
    elsewhere = FolderStore(tmp_path / "elsewhere")
    expected = put(worse[0], elsewhere, force="a reason")
    with pytest.raises(StoreError, match="killed before"):
        put(worse[0], Watched(store, killed_after(writes)), force="a reason")
    with pytest.raises(ArtifactNotFoundError):
        live(store)
    assert put(worse[0], store, force="a reason") == expected
    assert live(store) == expected.champion


@pytest.mark.parametrize("router", ["best-single", "ridge-cluster"])
def test_a_reason_that_nothing_needed_is_not_written(
    router: str, store: FolderStore, tmp_path: Path
) -> None:
    folder, digest = new_artifact(tmp_path / "new", router=router)
    assert put(folder, store, force="just in case").champion == digest
    assert status(store, POINTER).manifest.forced is None


@pytest.mark.parametrize(
    "reason", ["", " \n", "x" * 501, "a\nb", "a\u2028b", "a\tb", "\x1b[2J", "\udc80"]
)
def test_a_reason_that_is_none_is_refused_before_anything_is_written(
    reason: str, store: FolderStore, worse: tuple[Path, str]
) -> None:
    watched = Watched(store, lambda _done, _key: None)
    with pytest.raises(DataError, match="reason"):
        put(worse[0], watched, force=reason)
    assert watched.writes == []


def test_a_reason_may_be_long(store: FolderStore, worse: tuple[Path, str]) -> None:
    put(worse[0], store, force=f" {'長' * 500} ")
    assert status(store, POINTER).manifest.forced == "長" * 500


def test_fields_of_later_versions_are_published_with_a_reason_too(
    store: FolderStore, worse: tuple[Path, str]
) -> None:
    fields = json.loads((worse[0] / MANIFEST).read_bytes()) | {"mood": "sunny"}
    del fields["forced"]
    (worse[0] / MANIFEST).write_text(json.dumps(fields))
    digest = put(worse[0], store, force="a reason").champion
    content = store.read(f"artifacts/{digest}/{MANIFEST}").content
    assert json.loads(content) == fields | {"forced": "a reason"}
    assert list(json.loads(content)) == sorted(json.loads(content))
    assert digest_of(content) == live(store) == digest


@pytest.mark.parametrize("number", ["NaN", "1e999"])
def test_a_manifest_of_no_numbers_cannot_be_forced(
    number: str, store: FolderStore, worse: tuple[Path, str]
) -> None:
    text = (worse[0] / MANIFEST).read_text()
    (worse[0] / MANIFEST).write_text(text.replace('"gain": -0.01', f'"gain": {number}'))
    watched = Watched(store, lambda _done, _key: None)
    with pytest.raises(ArtifactCorruptError, match=r"manifest\.json holds no numbers: train again"):
        put(worse[0], watched, force="a reason")
    assert watched.writes == []
