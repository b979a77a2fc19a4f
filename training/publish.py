"""Publish an artifact: parts first, the manifest, and the pointer last, by compare-and-swap.

Before anything is written it passes a door, so that no worse router goes live by accident.
"""

import json
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from regroup.artifact import MANIFEST, Manifest, digest_of, read_manifest, read_part
from regroup.domain.pointer import Pointer, read_pointer
from regroup.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    DataError,
    ReleaseRefusedError,
)
from regroup.ports import ObjectStore

ALLOWED_LOSS = 0.01
"""Reward that a new router may lose to the champion at worst, at the lower end of the interval."""

MAX_REASON_CHARS = 500

_BREAKS_A_LINE = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories: control characters, halves of pairs, separators of lines and paragraphs."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is live."""

    pointer: Pointer
    manifest: Manifest


def publish(
    folder: Path,
    store: ObjectStore,
    pointer_key: str,
    *,
    who: str,
    why: str,
    force: str | None = None,
    allowed_loss: float = ALLOWED_LOSS,
) -> Pointer:
    """Make the artifact in `folder` the champion, if `find_objection` finds none.

    Readers see the old router or the new one, never a mixture: the pointer moves only when all
    parts lie there. A publication that was interrupted is completed by running it again.

    Args:
        folder: is read only.
        store: takes the artifact and the pointer.
        pointer_key: the pointer's.
        who: goes into the pointer.
        why: goes into the pointer.
        force: a reason to publish whatever is objected, in one line. If something is, it goes into
            the published manifest, and so decides its digest: the same reason gives the same one.
        allowed_loss: reward, in [0, 1].

    Raises:
        ReleaseRefusedError: not shown to be good enough; nothing was written.
        ArtifactError: the folder holds no sound artifact.
        DataError: `force` is no such reason, or `allowed_loss` no such number.
        PointerConflictError: someone else published meanwhile; look at `status`, then decide.
    """
    reason = reason_of(force)
    check_allowed_loss(allowed_loss)
    content = read_folder(folder)
    manifest = read_manifest(content, digest_of(content))
    tag, before = find_pointer(store, pointer_key)
    champion = None if before is None else before.champion
    objection = find_objection(manifest, digest_of(content), champion, allowed_loss)
    if objection is not None:
        if reason is None:
            raise ReleaseRefusedError(f"{folder} is not published: {objection}")
        content = with_reason(content, reason)
    digest = digest_of(content)
    put_artifact(folder, store, content)
    after = (before or Pointer(digest)).promote(digest, who=who, why=why)
    store.replace(pointer_key, after.to_bytes(), tag=tag)
    return after


def find_objection(
    manifest: Manifest, digest: str, champion: str | None, allowed_loss: float = ALLOWED_LOSS
) -> str | None:
    """Say why an artifact should not go live, with the ways out; None where nothing speaks against.

    The best single candidate may always go live, and so may what is live already. A learned router
    must pay by its own verdict, and must not lose to the champion.

    Args:
        manifest: the artifact's.
        digest: of the same manifest.
        champion: digest of what is live, if anything is.
        allowed_loss: reward that the interval of its gain over the champion may reach below 0.
    """
    if manifest.router == "best-single" or digest == champion:
        return None
    verdict = manifest.verdict
    if verdict.route is not True:
        return (
            f"its router is {manifest.router}, and its own verdict is {verdict.sentence!r}: "
            "publish what `train` writes with --router auto, or give --force 'reason'"
        )
    if not _are_numbers(verdict.gain, verdict.gain_low, verdict.gain_high):
        return "its verdict rests on no numbers: train again, or give --force 'reason'"
    return None if champion is None else _find_loss(manifest, champion, allowed_loss)


def status(store: ObjectStore, pointer_key: str) -> Status:
    """Return what is live.

    Raises:
        ArtifactNotFoundError: nothing was published yet, or the artifact is gone.
    """
    pointer = read_pointer(store.read(pointer_key).content)
    return Status(pointer, manifest_of(store, pointer.champion))


def manifest_of(store: ObjectStore, digest: str) -> Manifest:
    """Return the manifest of a published artifact.

    Raises:
        ArtifactNotFoundError: it is gone.
    """
    try:
        content = store.read(f"artifacts/{digest}/{MANIFEST}").content
    except ArtifactNotFoundError as error:
        raise ArtifactNotFoundError(
            f"the artifact {digest} is gone from the store ({error}): publish it from its folder"
        ) from error
    return read_manifest(content, digest)


def put_artifact(folder: Path, store: ObjectStore, content: bytes) -> None:
    """Write the artifact of this manifest: the parts in `folder`, all checked first, then itself.

    Raises:
        ArtifactError: a part is missing or damaged, or lies in the store with other bytes.
    """
    digest = digest_of(content)
    manifest = read_manifest(content, digest)
    files = {name: read_part(manifest, name, _read(folder / name)) for name in manifest.parts}
    for name, part in (*files.items(), (MANIFEST, content)):
        _put(store, f"artifacts/{digest}/{name}", part)


def find_pointer(store: ObjectStore, key: str) -> tuple[str | None, Pointer | None]:
    """Return the pointer and the tag of its object; None and None where nothing is live."""
    try:
        stored = store.read(key)
    except ArtifactNotFoundError:
        return None, None
    return stored.tag, read_pointer(stored.content)


def read_folder(folder: Path) -> bytes:
    """Return the manifest of an artifact's folder.

    Raises:
        ArtifactNotFoundError: there is none.
    """
    try:
        return (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactNotFoundError(
            f"{folder} holds no {MANIFEST}: train first, or name the folder that `train` wrote"
        ) from error


def check_allowed_loss(allowed_loss: float) -> None:
    """Refuse what is no loss of reward.

    Raises:
        DataError: it is not in [0, 1].
    """
    if not 0.0 <= allowed_loss <= 1.0:
        raise DataError(f"the allowed loss is {allowed_loss}: rewards lie in [0, 1], so must it")


def reason_of(force: str | None) -> str | None:
    """Return what was given with --force, trimmed; None where nothing was.

    Raises:
        DataError: it is no reason in one line.
    """
    if force is None:
        return None
    reason = force.strip()
    if not reason:
        raise DataError("--force needs a reason: say why this router may go live all the same")
    if len(reason) > MAX_REASON_CHARS:
        raise DataError(
            f"the reason has {len(reason)} characters: at most {MAX_REASON_CHARS} are kept"
        )
    if any(unicodedata.category(char) in _BREAKS_A_LINE for char in reason):
        raise DataError("the reason must be one line of text, without control characters")
    return reason


def with_reason(content: bytes, reason: str) -> bytes:
    """Return the manifest with this reason in it, and so with another digest.

    Raises:
        ArtifactCorruptError: it holds numbers that JSON does not know.
    """
    # Not through `Manifest`, which knows only the fields of this version.
    fields = json.loads(content) | {"forced": reason}
    try:
        text = json.dumps(fields, indent=1, sort_keys=True, allow_nan=False)
    except ValueError as error:
        raise ArtifactCorruptError(f"{MANIFEST} holds no numbers: train again") from error
    return f"{text}\n".encode()


def _find_loss(manifest: Manifest, champion: str, allowed_loss: float) -> str | None:
    found = manifest.against_champion
    if found is None or found.champion != champion:
        compared = "nothing" if found is None else found.champion
        return (
            f"the champion is {champion}, and it was compared with {compared}: "
            "train again with --champion POINTER, or give --force 'reason'"
        )
    numbers = (found.gain, found.gain_low, found.gain_high, found.rows)
    # Written so that NaN, and whatever else is no number, is a loss as well.
    if not _are_numbers(*numbers) or not found.rows > 0:
        return (
            "its comparison with the champion rests on no numbers: "
            "train again with --champion POINTER, or give --force 'reason'"
        )
    if found.gain_low <= found.gain_high and found.gain_low >= -allowed_loss:
        return None
    gain, low, high = (f"{100 * number:z.1f}" for number in numbers[:3])
    return (
        f"over the champion {champion} it gains {gain} points (95 % interval {low} to {high}, "
        f"{found.rows} rows), and the interval may reach down to {-100 * allowed_loss:z.1f}: "
        "train again with --champion POINTER, collect more data, or give --force 'reason'"
    )


def _are_numbers(*values: object) -> bool:
    """Tell whether all are finite; JSON may hold NaN, and whole numbers beyond any float."""
    return all(
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
        for value in values
    )


def _put(store: ObjectStore, key: str, content: bytes) -> None:
    """Write an object, or see that the very same one lies there already."""
    if not store.create(key, content) and store.read(key).content != content:
        raise ArtifactCorruptError(f"{key} lies in the store with other bytes: delete it there")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(f"{path} is missing: train again") from error
