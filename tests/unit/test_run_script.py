"""terraform/run.sh says what is missing before anything begins, and destroys nothing by halves."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUCKET = {"STATE_BUCKET": "state"}

TERRAFORM = r"""#!/bin/sh
here=$(dirname "$0")/..
echo "$@ in $TF_DATA_DIR" >> "$here/calls"
case $1 in
init)
    mkdir -p "$TF_DATA_DIR"
    echo '      "bucket": "state",' > "$TF_DATA_DIR/terraform.tfstate"
    ;;
output)
    for wanted; do :; done
    if [ -f "$here/broken" ]; then cat "$here/broken" >&2; exit 1; fi
    if [ -f "$here/outputs/$wanted" ]; then cat "$here/outputs/$wanted"; exit 0; fi
    # As Terraform does: a warning where there are none, an error where this one is missing.
    if [ -d "$here/outputs" ]; then echo "Error: Output \"$wanted\" not found" >&2; exit 1; fi
    echo "Warning: No outputs found" >&2
    ;;
state)
    [ ! -d "$here/outputs" ] && [ ! -f "$here/half" ] || echo module.key
    ;;
esac
"""


class Checkout:
    """A folder with the script, two environments, and a Terraform that writes down its calls."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "terraform/environments").mkdir(parents=True)
        shutil.copy(ROOT / "terraform/run.sh", root / "terraform")
        for name in ("dev", "prod"):
            self.name(name, f"regroup-{name}")
        (root / "tools").mkdir()
        tool = root / "tools/terraform"
        tool.write_text(TERRAFORM)
        tool.chmod(0o755)
        (root / "build/package").mkdir(parents=True)
        (root / "build/package/package.json").write_text("{}")

    def name(self, environment: str, name: str) -> None:
        path = self.root / f"terraform/environments/{environment}.tfvars"
        path.write_text(f'# A comment.\nname       = "{name}"\nregion = "x"\n')

    def deploy(self, **outputs: str) -> None:
        (self.root / "outputs").mkdir()
        for name, value in {"name": "regroup-dev", **outputs}.items():
            (self.root / "outputs" / name).write_text(value)

    def run(
        self, *arguments: str, environment: Mapping[str, str] = BUCKET, tool: bool = True
    ) -> subprocess.CompletedProcess[str]:
        tools = [str(self.root / "tools")] if tool else []
        return subprocess.run(
            ["/bin/bash", str(self.root / "terraform/run.sh"), *arguments],
            env={"PATH": os.pathsep.join([*tools, "/usr/bin", "/bin"]), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def refusal(self, *arguments: str, environment: Mapping[str, str] = BUCKET) -> str:
        """Run what must be refused with nothing on standard output; return the sentence."""
        done = self.run(*arguments, environment=environment)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    @property
    def calls(self) -> list[str]:
        calls = self.root / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_an_unknown_environment_is_named_with_those_there_are(checkout: Checkout) -> None:
    said = checkout.refusal("stage", "plan")

    assert "environments/stage.tfvars" in said
    assert "ENV=dev" in said


@pytest.mark.skipif(
    any(Path(folder, "terraform").exists() for folder in ("/usr/bin", "/bin")),
    reason="a Terraform of the system cannot be taken off the PATH",
)
def test_where_terraform_is_missing_it_says_where_it_is_to_be_had(checkout: Checkout) -> None:
    done = checkout.run("dev", "plan", tool=False)

    assert done.returncode == 1
    assert "Terraform 1.10" in done.stderr


def test_without_a_state_the_bucket_is_asked_for_and_how_to_make_it(checkout: Checkout) -> None:
    said = checkout.refusal("dev", "plan", environment={})

    assert "STATE_BUCKET=<bucket>" in said
    assert "make state-bucket" in said
    assert checkout.calls == []


@pytest.mark.parametrize("command", ["plan", "apply", "destroy"])
def test_without_zips_nothing_is_begun(checkout: Checkout, command: str) -> None:
    (checkout.root / "build/package/package.json").unlink()

    assert "make package" in checkout.refusal("dev", command)
    assert checkout.calls == []


def test_the_state_is_told_once_and_each_environment_has_its_own(checkout: Checkout) -> None:
    checkout.run("dev", "plan")
    checkout.run("dev", "apply", "-auto-approve", environment={})

    first, again = (one for one in checkout.calls if one.startswith("init"))
    assert "bucket=state" in first
    assert "key=regroup/dev.tfstate" in first
    # An upgrade may bring modules, so it initialises again, and needs not be told the bucket.
    assert "-backend-config" not in again
    assert checkout.calls[-1].startswith("apply -var-file=environments/dev.tfvars -auto-approve in")
    assert "STATE_BUCKET" in checkout.refusal("prod", "plan", environment={})


def test_another_bucket_than_the_one_that_is_known_is_refused(checkout: Checkout) -> None:
    checkout.run("dev", "plan")

    assert "lies in 'state'" in checkout.refusal("dev", "check", environment={"STATE_BUCKET": "b"})
    assert checkout.run("dev", "check").returncode == 0


def test_two_environments_of_one_name_are_refused(checkout: Checkout) -> None:
    checkout.name("copy", "regroup-dev")

    assert "have the same name" in checkout.refusal("copy", "plan")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_another_name_for_what_is_deployed_is_refused(checkout: Checkout, command: str) -> None:
    checkout.deploy()
    checkout.name("dev", "regroup-new")

    assert "would replace all" in checkout.refusal("dev", command)
    assert not [one for one in checkout.calls if one.startswith(command)]


def test_an_output_is_read_as_it_is(checkout: Checkout) -> None:
    checkout.deploy(api_url="https://x/live")

    assert checkout.run("dev", "output", "-raw", "api_url").stdout == "https://x/live"


def test_where_nothing_is_deployed_it_says_so(checkout: Checkout) -> None:
    assert "make deploy ENV=dev" in checkout.refusal("dev", "output", "-raw", "api_url")
    assert "make deploy ENV=dev" in checkout.refusal("dev", "destroy")


def test_an_output_that_there_is_not_is_told_from_nothing_deployed(checkout: Checkout) -> None:
    checkout.deploy()

    said = checkout.refusal("dev", "output", "-raw", "domain_target")

    assert "no output domain_target" in said
    assert "make deploy" not in said


def test_what_keeps_the_state_from_being_read_is_shown(checkout: Checkout) -> None:
    (checkout.root / "broken").write_text("Error: ExpiredToken: the security token is expired")

    said = checkout.refusal("dev", "output", "-raw", "api_url")

    assert "ExpiredToken" in said
    assert "make deploy" not in said


def test_what_is_kept_is_not_half_destroyed(checkout: Checkout) -> None:
    checkout.deploy(may_be_destroyed="false")

    assert "force_destroy = true" in checkout.refusal("dev", "destroy")
    assert not [one for one in checkout.calls if one.startswith("destroy")]


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_may_go_goes_and_an_interrupted_destroy_goes_on(
    checkout: Checkout, interrupted: bool
) -> None:
    if interrupted:  # outputs leave the state first
        (checkout.root / "half").touch()
    else:
        checkout.deploy(may_be_destroyed="true")

    assert checkout.run("dev", "destroy", "-auto-approve").returncode == 0
    assert checkout.calls[-1].startswith("destroy -var-file=environments/dev.tfvars -auto-approve")


def test_a_bucket_of_state_has_a_state_of_its_own_below_build(checkout: Checkout) -> None:
    assert "STATE_BUCKET=<name>" in checkout.refusal("state-bucket", environment={})

    checkout.run("state-bucket")
    checkout.run("state-bucket", environment={"STATE_BUCKET": "other"})

    build = checkout.root / "build/terraform"
    paths = [one.split("path=")[1].split()[0] for one in checkout.calls if " init " in f" {one}"]
    assert paths == [str(build / f"state-bucket-{name}.tfstate") for name in ("state", "other")]
