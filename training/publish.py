"""Publish an artifact: parts first, the manifest, and the pointer last, by compare-and-swap."""

from dataclasses import dataclass
from pathlib import Path

from regroup.artifact import MANIFEST, Manifest, digest_of, read_manifest, read_part
from regroup.domain.pointer import Pointer, read_pointer
from regroup.errors import ArtifactCorruptError, ArtifactNotFoundError
from regroup.ports import ObjectStore


@dataclass(frozen=True, slots=True)
class Status:
    """What is live."""

    pointer: Pointer
    manifest: Manifest


def publish(folder: Path, store: ObjectStore, pointer_key: str, *, who: str, why: str) -> Pointer:
    """Make the artifact in `folder` the champion.

    Readers see the old router or the new one, never a mixture: the pointer moves only when all
    parts lie there. A publication that was interrupted is completed by running it again.

    Raises:
        ArtifactError: the folder holds no sound artifact.
        PointerConflictError: someone else published meanwhile; look at `status`, then decide.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactNotFoundError(
            f"{folder} holds no {MANIFEST}: train first, or name the folder that `train` wrote"
        ) from error
    digest = digest_of(content)
    manifest = read_manifest(content, digest)
    tag, before = _pointer(store, pointer_key)
    files = {name: read_part(manifest, name, _read(folder / name)) for name in manifest.parts}
    for name, part in (*files.items(), (MANIFEST, content)):
        _put(store, f"artifacts/{digest}/{name}", part)
    after = (before or Pointer(digest)).promote(digest, who=who, why=why)
    store.replace(pointer_key, after.to_bytes(), tag=tag)
    return after


def status(store: ObjectStore, pointer_key: str) -> Status:
    """Return what is live.

    Raises:
        ArtifactNotFoundError: nothing was published yet, or the artifact is gone.
    """
    pointer = read_pointer(store.read(pointer_key).content)
    content = store.read(f"artifacts/{pointer.champion}/{MANIFEST}").content
    return Status(pointer, read_manifest(content, pointer.champion))


def _pointer(store: ObjectStore, key: str) -> tuple[str | None, Pointer | None]:
    try:
        stored = store.read(key)
    except ArtifactNotFoundError:
        return None, None
    return stored.tag, read_pointer(stored.content)


def _put(store: ObjectStore, key: str, content: bytes) -> None:
    """Write an object, or see that the very same one lies there already."""
    if not store.create(key, content) and store.read(key).content != content:
        raise ArtifactCorruptError(f"{key} lies in the store with other bytes: delete it there")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(f"{path} is missing: train again") from error
