"""terraform/run.sh says what is missing before anything begins."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the script, an environment, and a Terraform that prints what it is told."""
    (tmp_path / "terraform/environments").mkdir(parents=True)
    shutil.copy(ROOT / "terraform/run.sh", tmp_path / "terraform")
    (tmp_path / "terraform/environments/dev.tfvars").write_text("")
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tools / "terraform"
    fake.write_text(
        "#!/bin/sh\n"
        '[ "$3" = may_be_destroyed ] || echo "$@ in $TF_DATA_DIR"\n'
        'known="$TF_DATA_DIR/terraform.tfstate"\n'
        'if [ "$1" = init ] && [ ! -f "$known" ]; then\n'
        '    mkdir -p "$TF_DATA_DIR"\n'
        """    echo '      "bucket": "state",' > "$known"\n"""
        "fi\n"
        '[ "$3" != may_be_destroyed ] || echo true\n'
    )
    fake.chmod(0o755)
    return tmp_path


def run(
    checkout: Path, *arguments: str, environment: Mapping[str, str] | None = None, tool: bool = True
) -> subprocess.CompletedProcess[str]:
    tools = [str(checkout / "tools")] if tool else []
    return subprocess.run(
        ["/bin/bash", str(checkout / "terraform/run.sh"), *arguments],
        env={"PATH": os.pathsep.join([*tools, "/usr/bin", "/bin"]), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def say(checkout: Path, command: str, error: str) -> None:
    """Let the Terraform of a checkout fail at one command."""
    fake = checkout / "tools/terraform"
    fail = f"[ \"$1\" != {command} ] || {{ echo '{error}' >&2; exit 1; }}\n"
    fake.write_text(fake.read_text().replace("#!/bin/sh\n", "#!/bin/sh\n" + fail))


def built(checkout: Path) -> None:
    (checkout / "build/package").mkdir(parents=True)
    (checkout / "build/package/package.json").write_text("{}")


BUCKET = {"STATE_BUCKET": "state"}


def test_an_unknown_environment_is_named_with_those_there_are(checkout: Path) -> None:
    done = run(checkout, "stage", "plan", environment=BUCKET)

    assert done.returncode == 1
    assert "environments/stage.tfvars" in done.stderr
    assert "ENV=dev" in done.stderr


@pytest.mark.skipif(
    any(Path(folder, "terraform").exists() for folder in ("/usr/bin", "/bin")),
    reason="a Terraform of the system cannot be taken off the PATH",
)
def test_where_terraform_is_missing_it_says_where_it_is_to_be_had(checkout: Path) -> None:
    done = run(checkout, "dev", "plan", environment=BUCKET, tool=False)

    assert done.returncode == 1
    assert "Terraform 1.10" in done.stderr


def test_without_a_state_the_bucket_is_asked_for_and_how_to_make_it(checkout: Path) -> None:
    built(checkout)

    done = run(checkout, "dev", "plan")

    assert done.returncode == 1
    assert "STATE_BUCKET=<bucket>" in done.stderr
    assert "make state-bucket" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_without_zips_nothing_is_planned(checkout: Path, command: str) -> None:
    done = run(checkout, "dev", command, environment=BUCKET)

    assert done.returncode == 1
    assert "make package" in done.stderr


def test_the_state_is_told_once_and_each_environment_has_its_own(checkout: Path) -> None:
    built(checkout)
    (checkout / "terraform/environments/prod.tfvars").write_text("")

    first = run(checkout, "dev", "plan", environment=BUCKET)
    # An upgrade may bring modules, so it initialises again, and needs not be told the bucket.
    second = run(checkout, "dev", "apply", "-auto-approve")
    other = run(checkout, "prod", "plan")

    assert "key=regroup/dev.tfstate" in first.stderr
    assert "bucket=state" in first.stderr
    assert first.stdout.startswith("plan -var-file=environments/dev.tfvars in ")
    assert second.stdout.startswith("apply -var-file=environments/dev.tfvars -auto-approve in ")
    assert second.stderr == ""
    assert other.returncode == 1


def test_outputs_are_read_without_variables(checkout: Path) -> None:
    run(checkout, "dev", "state", "list", environment=BUCKET)

    done = run(checkout, "dev", "output", "-raw", "api_url")

    assert done.stdout.startswith("output -raw api_url in ")


def test_where_nothing_is_deployed_it_says_so(checkout: Path) -> None:
    say(checkout, "output", 'Error: Output "api_url" not found')

    done = run(checkout, "dev", "output", "-raw", "api_url", environment=BUCKET)

    assert done.returncode == 1
    assert "make deploy ENV=dev" in done.stderr


def test_what_keeps_the_state_from_being_read_is_shown(checkout: Path) -> None:
    say(checkout, "output", "Error: ExpiredToken: the security token is expired")

    done = run(checkout, "dev", "output", "-raw", "api_url", environment=BUCKET)

    assert done.returncode == 1
    assert "ExpiredToken" in done.stderr
    assert "make deploy" not in done.stderr


def test_what_is_kept_is_not_half_destroyed(checkout: Path) -> None:
    fake = checkout / "tools/terraform"
    fake.write_text(fake.read_text().replace("echo true", "echo false"))

    done = run(checkout, "dev", "destroy", environment=BUCKET)

    assert done.returncode == 1
    assert "force_destroy = true" in done.stderr
    assert "destroy -var-file" not in done.stdout


def test_another_bucket_than_the_one_that_is_known_is_refused(checkout: Path) -> None:
    run(checkout, "dev", "check", environment=BUCKET)
    run(checkout, "dev", "state", "list", environment=BUCKET)

    done = run(checkout, "dev", "check", environment={"STATE_BUCKET": "other"})

    assert done.returncode == 1
    assert "lies in 'state'" in done.stderr
    assert run(checkout, "dev", "check", environment=BUCKET).returncode == 0


def test_the_bucket_of_the_state_is_made_without_a_trace_beside_the_sources(
    checkout: Path,
) -> None:
    nameless = run(checkout, "state-bucket")
    done = run(checkout, "state-bucket", environment=BUCKET)

    assert "STATE_BUCKET=<name>" in nameless.stderr
    state = checkout / "build/terraform/state-bucket.tfstate"
    assert f"-chdir=state apply -state={state} -var bucket=state" in done.stdout


def test_a_destroy_needs_no_zips(checkout: Path) -> None:
    done = run(checkout, "dev", "destroy", environment=BUCKET)

    assert done.returncode == 0
