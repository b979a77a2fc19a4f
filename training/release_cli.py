"""The commands around the pointer: publish, challenge, promote, withdraw, rollback and status."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from regroup.adapters.assumed_role import s3_as
from regroup.adapters.object_store import S3_CONFIG, open_object
from regroup.domain.pointer import Pointer, read_pointer
from regroup.errors import ArtifactCorruptError, ArtifactNotFoundError
from regroup.ports import ObjectStore
from training.publish import ALLOWED_LOSS, find_pointer, publish, status
from training.release import challenge, promote, rollback, withdraw
from training.tables import artifact_table

# Typer reads no `type` statements: it would take these for arguments without help.
ArtifactOption = Annotated[Path, typer.Option(help="Folder that `train` wrote.")]
ToOption = Annotated[
    str, typer.Option(help="The pointer: s3://bucket/prefix/pointer.json or file:.")
]
WhyOption = Annotated[str, typer.Option(help="Goes into the pointer.")]
WhoOption = Annotated[
    str,
    typer.Option(
        default_factory=getpass.getuser, show_default="you", help="Goes into the pointer."
    ),
]
RoleOption = Annotated[
    str | None,
    typer.Option(
        "--publisher-role",
        envvar="REGROUP_PUBLISHER_ROLE",
        help="Role that may write the pointer: Terraform's output publisher_role_arn.",
    ),
]
LossOption = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="Reward it may lose to the live router at worst."),
]

release_app = typer.Typer()
console = Console()


@release_app.command(name="publish")
def publish_command(
    artifact: ArtifactOption,
    to: ToOption,
    why: WhyOption,
    who: WhoOption,
    role: RoleOption = None,
    allowed_loss: LossOption = ALLOWED_LOSS,
    force: Annotated[
        str | None,
        typer.Option(help="Publish against the gate; this reason goes into the manifest."),
    ] = None,
) -> None:
    """Make an artifact the live router, if it is shown to pay and to keep up with what is live."""
    with _pointer_at(to, role) as (store, key):
        after = publish(
            artifact, store, key, who=who, why=why, allowed_loss=allowed_loss, force=force
        )
    _show(after)


@release_app.command(name="challenge")
def challenge_command(
    artifact: ArtifactOption,
    to: ToOption,
    mode: Annotated[
        Literal["shadow", "canary"],
        typer.Option(help="A shadow predicts and decides nothing; a canary decides its share."),
    ],
    why: WhyOption,
    who: WhoOption,
    role: RoleOption = None,
    share: Annotated[
        float | None,
        typer.Option(help="Part of the conversations a canary decides, above 0. Default: 0.1."),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(help="A canary against the gate; this reason goes into the manifest."),
    ] = None,
) -> None:
    """Try an artifact beside the live router, as a shadow or on a share of the conversations."""
    if share is None:
        share = 0.1 if mode == "canary" else 0.0
    with _pointer_at(to, role) as (store, key):
        after = challenge(
            artifact, store, key, mode=mode, share=share, who=who, why=why, force=force
        )
    _show(after)


@release_app.command(name="promote")
def promote_command(
    to: ToOption,
    why: WhyOption,
    who: WhoOption,
    role: RoleOption = None,
    allowed_loss: LossOption = ALLOWED_LOSS,
    force: Annotated[
        str | None,
        typer.Option(help="Promote against the gate; this reason goes into the pointer."),
    ] = None,
) -> None:
    """Make the challenger the live router, if it is shown to pay and to keep up with it."""
    with _pointer_at(to, role) as (store, key):
        after = promote(store, key, who=who, why=why, force=force, allowed_loss=allowed_loss)
    _show(after)


@release_app.command(name="withdraw")
def withdraw_command(to: ToOption, why: WhyOption, who: WhoOption, role: RoleOption = None) -> None:
    """Take the challenger back; the live router stays."""
    with _pointer_at(to, role) as (store, key):
        after = withdraw(store, key, who=who, why=why)
    _show(after)


@release_app.command(name="rollback")
def rollback_command(to: ToOption, why: WhyOption, who: WhoOption, role: RoleOption = None) -> None:
    """Make the router before this one live again; once more takes that back."""
    with _pointer_at(to, role) as (store, key):
        after = rollback(store, key, who=who, why=why)
    _show(after)


@release_app.command(name="status")
def status_command(
    pointer: Annotated[str, typer.Option(help="s3://bucket/prefix/pointer.json or file:.")],
) -> None:
    """Show which router is live, and what was measured of it."""
    with _pointer_at(pointer) as (store, key):
        if find_pointer(store, key)[1] is None:
            line = f"no router is live: there is no pointer at {pointer}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
            return
        live = status(store, key)
    _show(live.pointer)
    console.print(f"by {live.pointer.who}: {live.pointer.why}", highlight=False, markup=False)
    if live.manifest.forced is not None:
        console.print(f"forced: {live.manifest.forced}", highlight=False, markup=False)
    console.print(artifact_table(live.manifest))
    console.print(live.manifest.verdict.sentence, style="bold", highlight=False, soft_wrap=True)


def open_pointer(address: str, role_arn: str | None) -> tuple[ObjectStore, str]:
    """Return the store and key of a pointer, as a role may see them where one is given."""
    return open_object(address, None if role_arn is None else s3_as(role_arn, S3_CONFIG))


@contextmanager
def _pointer_at(address: str, role_arn: str | None = None) -> Iterator[tuple[ObjectStore, str]]:
    """Open the pointer's store; if what lies there is no pointer, name the address and the cure."""
    store, key = open_pointer(address, role_arn)
    try:
        yield store, key
    except ArtifactCorruptError:
        # An artifact may be what is damaged: then this reads well, and its error is the one to say.
        _check_pointer(store, key, address)
        raise


def _check_pointer(store: ObjectStore, key: str, address: str) -> None:
    try:
        read_pointer(store.read(key).content)
    except ArtifactNotFoundError:
        return
    except ArtifactCorruptError as error:
        raise ArtifactCorruptError(
            f"the pointer {address} is broken ({error}): restore the version before it, or delete"
            " it and `publish` again"
        ) from error


def _show(pointer: Pointer) -> None:
    console.print(f"live: {pointer.champion}", soft_wrap=True)
    console.print(f"before: {pointer.previous or 'nothing'}", soft_wrap=True)
    if pointer.challenger is None:
        console.print("challenger: none")
        return
    how = f"{pointer.mode} of {100 * pointer.share:g} %" if pointer.share else pointer.mode
    console.print(f"challenger: {pointer.challenger}, {how}", soft_wrap=True)
