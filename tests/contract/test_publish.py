"""Publishing: the pointer moves last, by compare-and-swap, and only to a whole artifact."""

from collections.abc import Callable
from pathlib import Path

import pytest

from regroup.adapters.object_store import FolderStore
from regroup.artifact import MANIFEST, PARTS, load_artifact, write_artifact
from regroup.domain.pointer import Pointer, read_pointer
from regroup.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    PointerConflictError,
    StoreError,
)
from regroup.ports import ObjectStore, Stored
from tests.local.small_artifact import small_artifact
from training.publish import publish, status

POINTER = "pointer.json"
WRITES = len(PARTS) + 2
"""The parts, the manifest, the pointer."""


def new_artifact(folder: Path) -> tuple[Path, str]:
    """Write an artifact that is unlike any other; return its folder and digest."""
    return folder, write_artifact(folder, *small_artifact())


def live(store: ObjectStore) -> str:
    """Load what the pointer names, as the classifier does; return its digest."""
    digest = read_pointer(store.read(POINTER).content).champion
    return load_artifact(
        digest, lambda name: store.read(f"artifacts/{digest}/{name}").content
    ).digest


def put(folder: Path, store: ObjectStore, *, who: str = "ann", why: str = "because") -> Pointer:
    return publish(folder, store, POINTER, who=who, why=why)


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
    return new_artifact(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> tuple[Path, str]:
    return new_artifact(tmp_path / "new")


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
