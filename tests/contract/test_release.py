"""A release with care: challenge, promote, withdraw and roll back, each by compare-and-swap."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from regroup.adapters.object_store import FolderStore, S3ObjectStore
from regroup.artifact import (
    HEADS,
    MANIFEST,
    PARTS,
    AgainstChampion,
    digest_of,
    load_artifact,
    read_manifest,
)
from regroup.domain.pointer import Mode, Pointer, read_pointer
from regroup.errors import (
    ArtifactCorruptError,
    ArtifactError,
    ArtifactNotFoundError,
    DataError,
    PointerConflictError,
    ReleaseRefusedError,
    StoreError,
)
from regroup.ports import ObjectStore
from tests.contract.test_publish import NO, POINTER, WRITES, Watched, killed_after, new_artifact
from tests.local.aws import REGION, LoopbackAws
from tests.local.fakes import MemoryStore
from training.publish import publish
from training.release import challenge, promote, rollback, withdraw

BUCKET = "releases"
WHO: dict[str, Any] = {"who": "ann", "why": "because"}


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with LoopbackAws() as aws:
        client = aws.client("s3")
        client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield client


@pytest.fixture(params=["s3", "folder", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    client = request.getfixturevalue("s3")
    return S3ObjectStore(BUCKET, f"/{uuid4()}/", lambda: client)


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, str]:
    return new_artifact(tmp_path / "old", router="best-single")


@pytest.fixture
def new(tmp_path: Path, old: tuple[Path, str]) -> tuple[Path, str]:
    """A learned router that is shown to be better than the old one."""
    better = AgainstChampion(old[1], 0.05, 0.02, 0.08, rows=400)
    return new_artifact(tmp_path / "new", against_champion=better)


@pytest.fixture
def worse(tmp_path: Path) -> tuple[Path, str]:
    """A learned router that pays not even by its own verdict."""
    return new_artifact(tmp_path / "worse", verdict=NO)


@pytest.fixture
def store(old: tuple[Path, str]) -> MemoryStore:
    """Where the old router is live."""
    store = MemoryStore()
    publish(old[0], store, POINTER, who="ann", why="the first")
    return store


def try_out(
    folder: Path,
    store: ObjectStore,
    mode: Mode = "canary",
    *,
    share: float | None = None,
    force: str | None = None,
) -> Pointer:
    if share is None:
        share = 0.1 if mode == "canary" else 0.0
    return challenge(folder, store, POINTER, mode=mode, share=share, force=force, **WHO)


def pointer_in(store: ObjectStore) -> Pointer:
    return read_pointer(store.read(POINTER).content)


def load(store: ObjectStore, digest: str | None) -> str:
    assert digest is not None
    return load_artifact(
        digest, lambda name: store.read(f"artifacts/{digest}/{name}").content
    ).digest


def nothing(_done: int, _key: str) -> None:
    """Happens before a write."""


def moved_to(theirs: Pointer, store: ObjectStore, write: int) -> Callable[[int, str], None]:
    """Return what moves the pointer before a write, as someone else would."""

    def before(done: int, _key: str) -> None:
        if done == write:
            store.replace(POINTER, theirs.to_bytes(), tag=store.read(POINTER).tag)

    return before


# Challenge


def test_a_whole_release_and_the_way_back(
    any_store: ObjectStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    publish(old[0], any_store, POINTER, who="ann", why="the first")
    shadow = try_out(new[0], any_store, "shadow")
    assert shadow == pointer_in(any_store) == Pointer(old[1], new[1], mode="shadow", **WHO)
    canary = try_out(new[0], any_store, "canary", share=0.25)
    assert canary == pointer_in(any_store) == replace(shadow, mode="canary", share=0.25)
    assert load(any_store, canary.challenger) == new[1]
    assert load(any_store, canary.champion) == old[1]
    assert withdraw(any_store, POINTER, **WHO) == pointer_in(any_store) == Pointer(old[1], **WHO)
    try_out(new[0], any_store)
    promoted = promote(any_store, POINTER, **WHO)
    assert promoted == pointer_in(any_store) == Pointer(new[1], previous=old[1], **WHO)
    back = rollback(any_store, POINTER, **WHO)
    assert back == pointer_in(any_store) == Pointer(old[1], previous=new[1], **WHO)


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_the_pointer_is_written_last_and_the_manifest_before_it(
    mode: Mode, store: MemoryStore, new: tuple[Path, str]
) -> None:
    watched = Watched(store, nothing)
    try_out(new[0], watched, mode)
    assert set(watched.writes[:-2]) == {f"artifacts/{new[1]}/{name}" for name in PARTS}
    assert watched.writes[-2:] == [f"artifacts/{new[1]}/{MANIFEST}", POINTER]
    assert len(watched.writes) == WRITES


@pytest.mark.parametrize("writes", range(WRITES))
def test_a_challenge_killed_at_any_write_changes_nothing_and_a_rerun_completes_it(
    writes: int, store: MemoryStore, new: tuple[Path, str]
) -> None:
    before = store.read(POINTER).content
    with pytest.raises(StoreError, match="killed before"):
        try_out(new[0], Watched(store, killed_after(writes)))
    assert store.read(POINTER).content == before
    after = try_out(new[0], store)
    assert load(store, after.challenger) == new[1]


@pytest.mark.parametrize("write", [0, WRITES - 1])
def test_a_challenge_does_not_undo_what_someone_else_did_meanwhile(
    write: int, store: MemoryStore, new: tuple[Path, str]
) -> None:
    theirs = Pointer("f" * 64, who="someone else")
    with pytest.raises(PointerConflictError):
        try_out(new[0], Watched(store, moved_to(theirs, store, write)))
    assert pointer_in(store) == theirs


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_without_a_champion_there_is_nothing_to_challenge(
    mode: Mode, new: tuple[Path, str]
) -> None:
    watched = Watched(MemoryStore(), nothing)
    with pytest.raises(
        ReleaseRefusedError, match=r"^the pointer has no champion yet .*: `publish` a"
    ):
        try_out(new[0], watched, mode, force="a reason")
    assert watched.writes == []


def test_anything_sound_may_be_a_shadow(store: MemoryStore, worse: tuple[Path, str]) -> None:
    assert try_out(worse[0], store, "shadow").challenger == worse[1]
    assert load(store, worse[1]) == worse[1]


def test_a_reason_changes_no_shadow(store: MemoryStore, worse: tuple[Path, str]) -> None:
    assert try_out(worse[0], store, "shadow", force="a reason").challenger == worse[1]


def test_a_canary_needs_no_comparison(store: MemoryStore, tmp_path: Path) -> None:
    folder, digest = new_artifact(tmp_path / "uncompared")
    assert try_out(folder, store).challenger == digest


def test_the_best_single_candidate_may_be_a_canary(
    store: MemoryStore, new: tuple[Path, str], tmp_path: Path
) -> None:
    publish(new[0], store, POINTER, **WHO)
    folder, digest = new_artifact(tmp_path / "single", router="best-single", verdict=NO)
    assert try_out(folder, store).challenger == digest


def test_a_canary_that_does_not_pay_by_its_own_verdict_is_refused_before_anything_is_written(
    store: MemoryStore, worse: tuple[Path, str]
) -> None:
    watched = Watched(store, nothing)
    with pytest.raises(ReleaseRefusedError, match=r"worse is no canary: .*do not route: use a"):
        try_out(worse[0], watched)
    assert watched.writes == []


def test_a_reason_lets_a_canary_out_and_is_published_with_it(
    store: MemoryStore, old: tuple[Path, str], worse: tuple[Path, str]
) -> None:
    after = try_out(worse[0], store, force="  tried on Monday only ")
    assert after.champion == old[1]
    assert load(store, after.challenger) == after.challenger != worse[1]
    content = store.read(f"artifacts/{after.challenger}/{MANIFEST}").content
    assert read_manifest(content, digest_of(content)).forced == "tried on Monday only"
    assert try_out(worse[0], store, force="tried on Monday only") == after


def test_a_reason_that_no_canary_needed_is_not_written(
    store: MemoryStore, new: tuple[Path, str]
) -> None:
    assert try_out(new[0], store, force="just in case").challenger == new[1]


@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_what_is_live_cannot_challenge_itself(
    mode: Mode, store: MemoryStore, old: tuple[Path, str]
) -> None:
    watched = Watched(store, nothing)
    with pytest.raises(ReleaseRefusedError, match=f"{old[1]} is the champion"):
        try_out(old[0], watched, mode)
    assert watched.writes == []


def test_what_was_live_before_may_challenge(
    store: MemoryStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    publish(new[0], store, POINTER, **WHO)
    after = try_out(old[0], store)
    assert (after.champion, after.challenger, after.previous) == (new[1], old[1], old[1])


@pytest.mark.parametrize(
    ("mode", "share"),
    [("canary", 0.0), ("canary", 1.5), ("canary", nan), ("shadow", 0.1), ("off", 0.0), ("on", 0.5)],
)
def test_no_such_mode_or_share_is_refused_before_anything_is_written(
    mode: Any,
    share: float,
    store: MemoryStore,
    new: tuple[Path, str],
) -> None:
    watched = Watched(store, nothing)
    with pytest.raises(DataError, match=r"the (mode|share) is"):
        try_out(new[0], watched, mode, share=share)
    assert watched.writes == []


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_a_challenger_that_is_not_whole_is_refused_before_anything_is_written(
    name: str, damage: str, store: MemoryStore, new: tuple[Path, str]
) -> None:
    path = new[0] / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink() if damage == "missing" else path.write_bytes(content)
    watched = Watched(store, nothing)
    with pytest.raises(ArtifactError, match=name):
        try_out(new[0], watched, "shadow")
    assert watched.writes == []


# Promote


def test_the_very_artifact_that_was_tried_becomes_the_champion(
    store: MemoryStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    try_out(new[0], store)
    watched = Watched(store, nothing)
    after = promote(watched, POINTER, who="bob", why="ten days of canary")
    assert after == Pointer(new[1], previous=old[1], who="bob", why="ten days of canary")
    assert watched.writes == [POINTER]
    assert load(store, after.champion) == new[1]


OTHER = "e" * 64
AGAINST = {
    "nothing": (None, "was compared with nothing"),
    "another champion": (AgainstChampion(OTHER, 0.05, 0.02, 0.08, 400), f"compared with {OTHER}"),
    "a better one": (0.05, "it gains -5.0 points"),
}


@pytest.mark.parametrize("name", AGAINST)
@pytest.mark.parametrize("mode", ["shadow", "canary"])
def test_a_challenger_not_shown_to_keep_up_with_what_is_live_is_not_promoted(
    mode: Mode, name: str, store: MemoryStore, old: tuple[Path, str], tmp_path: Path
) -> None:
    against, sentence = AGAINST[name]
    if isinstance(against, float):
        against = AgainstChampion(old[1], -against, -0.08, -0.02, 400)
    folder, digest = new_artifact(tmp_path / "new", against_champion=against)
    try_out(folder, store, mode)
    watched = Watched(store, nothing)
    with pytest.raises(ReleaseRefusedError) as refused:
        promote(watched, POINTER, **WHO)
    assert str(refused.value).startswith(f"{digest} is not promoted: ")
    assert sentence in str(refused.value)
    assert watched.writes == []


def test_a_champion_that_changed_under_the_canary_is_one_it_was_not_compared_with(
    store: MemoryStore, new: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = new_artifact(tmp_path / "third", router="best-single", silhouette=0.2)
    publish(folder, store, POINTER, **WHO)
    try_out(new[0], store)
    with pytest.raises(ReleaseRefusedError, match="it was compared with"):
        promote(store, POINTER, **WHO)


def test_a_forced_promotion_leaves_the_artifact_as_it_is_and_says_why_in_the_pointer(
    store: MemoryStore, old: tuple[Path, str], worse: tuple[Path, str]
) -> None:
    try_out(worse[0], store, "shadow")
    after = promote(store, POINTER, who="ann", why="tried", force=" the judge was ill 病気 ")
    expected = Pointer(
        worse[1], previous=old[1], who="ann", why="tried (forced: the judge was ill 病気)"
    )
    assert after == pointer_in(store) == expected
    content = store.read(f"artifacts/{worse[1]}/{MANIFEST}").content
    assert content == (worse[0] / MANIFEST).read_bytes()


def test_a_reason_that_no_promotion_needed_is_not_written(
    store: MemoryStore, new: tuple[Path, str]
) -> None:
    try_out(new[0], store)
    assert promote(store, POINTER, **WHO, force="just in case").why == "because"


def test_a_forced_canary_needs_a_reason_of_its_own_to_be_promoted(
    store: MemoryStore, worse: tuple[Path, str]
) -> None:
    try_out(worse[0], store, force="on Monday only")
    with pytest.raises(ReleaseRefusedError, match="do not route"):
        promote(store, POINTER, **WHO)


def test_more_may_be_allowed_to_lose(
    store: MemoryStore, old: tuple[Path, str], tmp_path: Path
) -> None:
    against = AgainstChampion(old[1], 0.02, -0.04, 0.08, 60)
    folder, digest = new_artifact(tmp_path / "new", against_champion=against)
    try_out(folder, store)
    with pytest.raises(ReleaseRefusedError, match="collect more data"):
        promote(store, POINTER, **WHO)
    assert promote(store, POINTER, **WHO, allowed_loss=0.05).champion == digest


@pytest.mark.parametrize("allowed", [nan, -0.01, 1.01])
def test_an_allowed_loss_outside_of_rewards_is_refused(
    allowed: float, store: MemoryStore, new: tuple[Path, str]
) -> None:
    try_out(new[0], store)
    with pytest.raises(DataError, match="the allowed loss is"):
        promote(store, POINTER, **WHO, allowed_loss=allowed)


@pytest.mark.parametrize("reason", ["", " \n", "x" * 501, "a\nb", "\x1b[2J"])
def test_a_reason_that_is_none_is_refused_before_anything_is_written(
    reason: str, store: MemoryStore, worse: tuple[Path, str]
) -> None:
    try_out(worse[0], store, "shadow")
    watched = Watched(store, nothing)
    with pytest.raises(DataError, match="reason"):
        promote(watched, POINTER, **WHO, force=reason)
    with pytest.raises(DataError, match="reason"):
        try_out(worse[0], watched, force=reason)
    assert watched.writes == []


def test_a_promotion_needs_a_challenger(store: MemoryStore) -> None:
    with pytest.raises(ArtifactNotFoundError, match="no challenger to promote"):
        promote(store, POINTER, **WHO, force="a reason")


# Withdraw and roll back


def test_a_withdrawal_needs_a_challenger_and_no_artifact(
    store: MemoryStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    with pytest.raises(ArtifactNotFoundError, match="no challenger to withdraw"):
        withdraw(store, POINTER, **WHO)
    try_out(new[0], store)
    for key in [key for key in store.objects if key != POINTER]:
        del store.objects[key]
    assert withdraw(store, POINTER, **WHO) == Pointer(old[1], **WHO)


def test_rolled_back_twice_the_same_router_is_live(
    store: MemoryStore, old: tuple[Path, str], new: tuple[Path, str]
) -> None:
    publish(new[0], store, POINTER, **WHO)
    first = rollback(store, POINTER, who="ann", why="it broke")
    assert first == Pointer(old[1], previous=new[1], who="ann", why="it broke")
    second = rollback(store, POINTER, who="bob", why="it was not that")
    assert second == Pointer(new[1], previous=old[1], who="bob", why="it was not that")
    assert load(store, second.champion) == new[1]


def test_a_rollback_ends_a_challenge_and_asks_for_no_comparison(
    store: MemoryStore, old: tuple[Path, str], worse: tuple[Path, str], new: tuple[Path, str]
) -> None:
    publish(worse[0], store, POINTER, **WHO, force="a reason")
    publish(old[0], store, POINTER, **WHO)
    try_out(new[0], store)
    after = rollback(store, POINTER, **WHO)
    assert (after.challenger, after.mode, after.share) == (None, "off", 0.0)
    assert after.previous == old[1]


def test_the_first_router_cannot_be_rolled_back(store: MemoryStore, new: tuple[Path, str]) -> None:
    try_out(new[0], store)
    before = store.read(POINTER).content
    with pytest.raises(ArtifactNotFoundError, match="no champion before this one"):
        rollback(store, POINTER, **WHO)
    assert store.read(POINTER).content == before


Command = Callable[[ObjectStore], Pointer]
COMMANDS: dict[str, Command] = {
    "promote": lambda store: promote(store, POINTER, **WHO),
    "withdraw": lambda store: withdraw(store, POINTER, **WHO),
    "rollback": lambda store: rollback(store, POINTER, **WHO),
}


@pytest.fixture
def ready(store: MemoryStore, old: tuple[Path, str], tmp_path: Path) -> MemoryStore:
    """Where a second router is live, and a third one challenges it."""
    better = AgainstChampion(old[1], 0.05, 0.02, 0.08, rows=400)
    folder, second = new_artifact(tmp_path / "second", against_champion=better)
    publish(folder, store, POINTER, **WHO)
    folder, _ = new_artifact(tmp_path / "third", against_champion=replace(better, champion=second))
    try_out(folder, store)
    return store


@pytest.mark.parametrize("name", COMMANDS)
def test_of_two_people_who_do_the_same_at_once_one_is_told(name: str, ready: MemoryStore) -> None:
    """Two rollbacks would undo each other; so the second must not follow on the first."""
    first: list[Pointer] = []

    def meanwhile(_done: int, _key: str) -> None:
        first.append(COMMANDS[name](ready))

    with pytest.raises(PointerConflictError):
        COMMANDS[name](Watched(ready, meanwhile))
    assert [pointer_in(ready)] == first


@pytest.mark.parametrize("name", COMMANDS)
def test_a_step_killed_before_the_pointer_moves_has_changed_nothing(
    name: str, ready: MemoryStore
) -> None:
    before = dict(ready.objects)
    with pytest.raises(StoreError, match=f"killed before {POINTER}"):
        COMMANDS[name](Watched(ready, killed_after(0)))
    assert ready.objects == before
    COMMANDS[name](ready)


@pytest.mark.parametrize("name", COMMANDS)
def test_where_nothing_is_live_there_is_nothing_to_do(name: str) -> None:
    with pytest.raises(ArtifactNotFoundError):
        COMMANDS[name](MemoryStore())


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("content", [b"", b"{}", Pointer("x").to_bytes()])
def test_a_pointer_that_is_garbage_is_not_overwritten(name: str, content: bytes) -> None:
    store = MemoryStore({POINTER: content})
    with pytest.raises(ArtifactCorruptError, match=r"pointer\.json"):
        COMMANDS[name](store)
    assert store.objects == {POINTER: content}


@pytest.mark.parametrize(("name", "field"), [("promote", "challenger"), ("rollback", "previous")])
@pytest.mark.parametrize("file", [MANIFEST, HEADS])
@pytest.mark.parametrize("damage", ["gone", "other bytes"])
def test_the_pointer_does_not_move_to_an_artifact_that_is_gone_or_another(
    name: str, field: str, damage: str, file: str, ready: MemoryStore
) -> None:
    before = pointer_in(ready)
    digest = getattr(before, field)
    key = f"artifacts/{digest}/{file}"
    if damage == "gone":
        del ready.objects[key]
    else:
        ready.objects[key] += b" "
    is_told = damage == "gone" and file == MANIFEST
    expected = f"{digest} is gone from the store" if is_told else file
    kind = ArtifactNotFoundError if damage == "gone" else ArtifactCorruptError
    with pytest.raises(kind, match=expected):
        COMMANDS[name](ready)
    assert pointer_in(ready) == before
