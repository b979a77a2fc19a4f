"""The commands around the pointer, and what the status says after each."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from regroup.artifact import MANIFEST, AgainstChampion
from tests.contract.test_publish import NO, POINTER, new_artifact
from training import cli


@pytest.fixture
def to(tmp_path: Path) -> str:
    return f"file:{tmp_path / 'store' / POINTER}"


@pytest.fixture
def old(tmp_path: Path, to: str) -> str:
    """The digest of a router that is live."""
    folder, digest = new_artifact(tmp_path / "old", router="best-single")
    run("publish", "--artifact", folder, "--to", to, "--why", "the first")
    return digest


@pytest.fixture
def worse(tmp_path: Path) -> Path:
    """The folder of a learned router that pays not even by its own verdict."""
    return new_artifact(tmp_path / "worse", verdict=NO)[0]


def run(*words: str | Path, ok: bool = True) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    if ok:
        assert result.exception is None, result.output
        return result.stdout
    assert result.exit_code != 0
    return f"{result.exception!r} {result.output}"


def status(to: str) -> list[str]:
    return run("status", "--pointer", to).splitlines()[:3]


def test_every_step_is_a_command_and_the_status_tells_where_one_stands(
    tmp_path: Path, to: str, old: str, worse: Path
) -> None:
    better = AgainstChampion(old, 0.05, 0.02, 0.08, rows=400)
    folder, new = new_artifact(tmp_path / "new", against_champion=better)
    assert status(to) == [f"live: {old}", "before: nothing", "challenger: none"]

    challenge = ("challenge", "--artifact", folder, "--to", to, "--why", "look")
    shown = run(*challenge, "--mode", "shadow").splitlines()
    assert shown == status(to) == [f"live: {old}", "before: nothing", f"challenger: {new}, shadow"]
    run(*challenge, "--mode", "canary")
    assert status(to)[2] == f"challenger: {new}, canary of 10 %"
    run(*challenge, "--mode", "canary", "--share", "0.005")
    assert status(to)[2] == f"challenger: {new}, canary of 0.5 %"

    run("promote", "--to", to, "--why", "it is better")
    assert status(to) == [f"live: {new}", f"before: {old}", "challenger: none"]

    run("challenge", "--artifact", worse, "--to", to, "--mode", "shadow", "--why", "look")
    refused = run("promote", "--to", to, "--why", "why not", ok=False)
    assert "ReleaseRefusedError" in refused
    run("withdraw", "--to", to, "--why", "it is not better", "--who", "bob")
    assert "by bob: it is not better" in run("status", "--pointer", to)
    assert status(to)[2] == "challenger: none"

    run("rollback", "--to", to, "--why", "it broke")
    assert status(to) == [f"live: {old}", f"before: {new}", "challenger: none"]


@pytest.mark.usefixtures("old")
def test_the_status_tells_what_was_done_against_the_gate(to: str, worse: Path) -> None:
    challenge = ("challenge", "--artifact", worse, "--to", to, "--mode", "canary", "--why", "a")
    assert "is no canary" in run(*challenge, ok=False)
    run(*challenge, "--force", "on Monday")
    run("promote", "--to", to, "--why", "b", "--who", "ann", "--force", "a quiet week")
    shown = run("status", "--pointer", to)
    assert "by ann: b (forced: a quiet week)" in shown
    assert "forced: on Monday" in shown


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--mode", "off"), "'off'"),
        (("--mode", "canary", "--share", "0"), "the share is 0.0"),
        (("--mode", "canary", "--share", "half"), "--share"),
        (("--mode", "shadow", "--share", "0.1"), "the share is 0.1"),
        ((), "--mode"),
    ],
)
@pytest.mark.usefixtures("old")
def test_a_challenge_that_cannot_be_is_refused(
    words: tuple[str, ...], complaint: str, to: str, worse: Path
) -> None:
    challenge = ("challenge", "--artifact", worse, "--to", to, "--why", "a", "--force", "a reason")
    assert complaint in run(*challenge, *words, ok=False)
    assert status(to)[2] == "challenger: none"


@pytest.mark.parametrize("command", ["promote", "withdraw", "rollback"])
def test_a_step_from_nowhere_is_refused(command: str, to: str, old: str) -> None:
    assert "ArtifactNotFoundError" in run(command, "--to", to, "--why", "a", ok=False)
    assert status(to) == [f"live: {old}", "before: nothing", "challenger: none"]


@pytest.mark.parametrize(
    "content", ["", "{", '{"champion": "x"}', f'{{"champion": "{"a" * 64}", "schema": 2}}']
)
@pytest.mark.parametrize("command", ["publish", "challenge", "promote", "withdraw", "rollback"])
def test_a_broken_pointer_is_named_with_its_cure_and_left_as_it_is(
    command: str, content: str, to: str, worse: Path
) -> None:
    pointer = Path(to.removeprefix("file:"))
    pointer.parent.mkdir()
    pointer.write_text(content)
    options = {"publish": (), "challenge": ("--mode", "shadow")}
    artifact = ("--artifact", worse) if command in options else ()

    shown = [
        run(command, *artifact, *options.get(command, ()), "--to", to, "--why", "a", ok=False),
        run("status", "--pointer", to, ok=False),
    ]

    for complaint in shown:
        assert f"ArtifactCorruptError('the pointer {to} is broken (" in complaint
        assert "restore the version before it, or delete it and `publish` again" in complaint
    assert pointer.read_text() == content


def test_a_broken_artifact_is_not_said_to_be_a_broken_pointer(to: str, old: str) -> None:
    store = Path(to.removeprefix("file:")).parent
    (store / "artifacts" / old / MANIFEST).write_text("{}")

    complaint = run("status", "--pointer", to, ok=False)

    assert "ArtifactCorruptError" in complaint
    assert "pointer" not in complaint


def test_a_broken_folder_is_its_own_complaint_where_nothing_is_live(
    to: str, tmp_path: Path
) -> None:
    folder, _ = new_artifact(tmp_path / "new")
    (folder / MANIFEST).write_text("{}")

    complaint = run("publish", "--artifact", folder, "--to", to, "--why", "a", ok=False)

    assert "ArtifactCorruptError" in complaint
    assert "pointer" not in complaint


def test_every_option_has_its_help() -> None:
    for command in ("publish", "challenge", "promote", "withdraw", "rollback", "train"):
        shown = run(command, "--help")
        assert "Option>" not in shown
        assert "Arguments" not in shown
