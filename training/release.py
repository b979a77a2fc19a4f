"""Release a router with care: a challenger beside the champion, its promotion, and the way back.

Every step moves the pointer by compare-and-swap, and never before the artifact it names lies in the
store. What lies there stays, so that each step can be taken back.
"""

from pathlib import Path

from regroup.artifact import Manifest, digest_of, read_manifest, read_part
from regroup.domain.pointer import Mode, Pointer, read_pointer
from regroup.errors import ArtifactNotFoundError, ReleaseRefusedError
from regroup.ports import ObjectStore
from training.publish import (
    ALLOWED_LOSS,
    check_allowed_loss,
    find_objection,
    find_pointer,
    manifest_of,
    put_artifact,
    read_folder,
    reason_of,
    with_reason,
)


def challenge(
    folder: Path,
    store: ObjectStore,
    pointer_key: str,
    *,
    mode: Mode,
    share: float,
    who: str,
    why: str,
    force: str | None = None,
) -> Pointer:
    """Make the artifact in `folder` the challenger, in place of any other; the champion stays.

    A shadow decides nothing, so any sound artifact may be one. A canary answers people: a learned
    router must pay by its own verdict. It needs no comparison with the champion: the canary is one.
    A challenge that was interrupted is completed by running it again.

    Args:
        folder: is read only.
        store: takes the artifact and the pointer.
        pointer_key: the pointer's.
        mode: `shadow` or `canary`.
        share: part of the conversations that a canary decides, in (0, 1]; 0 for a shadow.
        who: goes into the pointer.
        why: goes into the pointer.
        force: a reason to let a canary out whatever is objected. As with `publish` it goes into
            the published manifest, if something is.

    Raises:
        ReleaseRefusedError: nothing is live yet, this is live already, or it is not shown to be
            good enough for a canary; nothing was written.
        ArtifactError: the folder holds no sound artifact.
        DataError: no such mode, share or reason.
        PointerConflictError: someone else moved the pointer meanwhile; look at `status`.
    """
    reason = reason_of(force)
    content = read_folder(folder)
    manifest = read_manifest(content, digest_of(content))
    tag, before = find_pointer(store, pointer_key)
    if before is None:
        raise ReleaseRefusedError(
            "the pointer has no champion yet to challenge: `publish` a router first"
        )
    if mode == "canary":
        objection = find_objection(manifest, digest_of(content), champion=None)
        if objection is not None:
            if reason is None:
                raise ReleaseRefusedError(f"{folder} is no canary: {objection}")
            content = with_reason(content, reason)
    after = before.challenge(digest_of(content), mode=mode, share=share, who=who, why=why)
    put_artifact(folder, store, content)
    store.replace(pointer_key, after.to_bytes(), tag=tag)
    return after


def promote(
    store: ObjectStore,
    pointer_key: str,
    *,
    who: str,
    why: str,
    force: str | None = None,
    allowed_loss: float = ALLOWED_LOSS,
) -> Pointer:
    """Make the challenger the champion, through the same door as `publish`.

    So a learned router must pay by its own verdict, and must have been compared in training with
    the very champion that is live now. Where a canary has shown what training could not, `force`
    says so. The artifact is the one that was tried, to the byte: the reason goes into the pointer's
    `why`, because in the manifest it would change the digest.

    Args:
        store: holds artifacts and pointer.
        pointer_key: the pointer's.
        who: goes into the pointer.
        why: goes into the pointer.
        force: a reason, in one line, to promote whatever is objected.
        allowed_loss: reward, in [0, 1].

    Raises:
        ReleaseRefusedError: not shown to be good enough; nothing was written.
        ArtifactNotFoundError: there is no pointer or no challenger, or its artifact is gone.
        ArtifactError: its manifest or a part cannot be read.
        DataError: `force` is no such reason, or `allowed_loss` no such number.
        PointerConflictError: someone else moved the pointer meanwhile; look at `status`.
    """
    reason = reason_of(force)
    check_allowed_loss(allowed_loss)
    tag, before = _read_pointer(store, pointer_key)
    if before.challenger is None:
        raise ArtifactNotFoundError("there is no challenger to promote: `challenge` first")
    manifest = _whole(store, before.challenger)
    objection = find_objection(manifest, before.challenger, before.champion, allowed_loss)
    if objection is not None:
        if reason is None:
            raise ReleaseRefusedError(f"{before.challenger} is not promoted: {objection}")
        why = f"{why} (forced: {reason})"
    after = before.promote(before.challenger, who=who, why=why)
    store.replace(pointer_key, after.to_bytes(), tag=tag)
    return after


def withdraw(store: ObjectStore, pointer_key: str, *, who: str, why: str) -> Pointer:
    """Take the challenger back; the champion stays.

    Raises:
        ArtifactNotFoundError: there is no pointer, or no challenger.
        PointerConflictError: someone else moved the pointer meanwhile; look at `status`.
    """
    tag, before = _read_pointer(store, pointer_key)
    after = before.withdraw(who=who, why=why)
    store.replace(pointer_key, after.to_bytes(), tag=tag)
    return after


def rollback(store: ObjectStore, pointer_key: str, *, who: str, why: str) -> Pointer:
    """Make the champion before this one live again; a second rollback takes the first one back.

    It was live once, so nothing is compared. Any challenger is taken back too.

    Raises:
        ArtifactNotFoundError: there is no pointer, no champion before this one, or its artifact is
            gone.
        ArtifactError: its manifest or a part cannot be read.
        PointerConflictError: someone else moved the pointer meanwhile; look at `status`.
    """
    tag, before = _read_pointer(store, pointer_key)
    after = before.rollback(who=who, why=why)
    _whole(store, after.champion)
    store.replace(pointer_key, after.to_bytes(), tag=tag)
    return after


def _whole(store: ObjectStore, digest: str) -> Manifest:
    """Return a published artifact's manifest, every part of it seen in the store as it says.

    Raises:
        ArtifactNotFoundError: the manifest or a part is gone.
        ArtifactCorruptError: one has other bytes.
    """
    manifest = manifest_of(store, digest)
    for name in manifest.parts:
        read_part(manifest, name, store.read(f"artifacts/{digest}/{name}").content)
    return manifest


def _read_pointer(store: ObjectStore, key: str) -> tuple[str, Pointer]:
    stored = store.read(key)
    return stored.tag, read_pointer(stored.content)
