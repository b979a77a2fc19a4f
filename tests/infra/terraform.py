"""Terraform, run on a copy of the project's own against an emulated account.

with LoopbackAws(complete=True) as aws:
    deployment = Workplace(folder).against(aws, "local")
    deployment.apply()
    assert not deployment.plan()
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layers.package import PACKAGE
from tests.local.aws import REGION, LoopbackAws

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "terraform"
STATE_BUCKET = "terraform-state"

_LAST_LETTERS = 6000
_MIRRORS = Path("/opt")
_MIRRORED = "*/*/hashicorp/aws"
_SERVICES = (
    "acm", "apigateway", "bedrock", "budgets", "ce", "cloudwatch", "dynamodb", "iam", "kms",
    "lambda", "logs", "s3", "sns", "sqs", "sts", "wafv2",
)  # fmt: skip
_NOT_COPIED = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*_override.tf")


class TerraformError(Exception):
    """Terraform failed; the text is what it printed last, `printed` all of it."""

    def __init__(self, printed: str) -> None:
        super().__init__(printed[-_LAST_LETTERS:])
        self.printed = printed


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that a plan would touch, and how."""

    address: str
    actions: tuple[str, ...]


def _terraform() -> str:
    found = shutil.which("terraform")
    if found is None:
        raise TerraformError(
            "there is no terraform on the PATH: install 1.10 or newer, from HashiCorp's site"
        )
    return found


@dataclass(frozen=True, slots=True)
class Workplace:
    """A copy of `terraform/` in a folder of its own: nothing is written beside the sources."""

    folder: Path

    def __post_init__(self) -> None:
        """Copy the sources, and put the zips where they look for them."""
        shutil.copytree(SOURCE, self.root, ignore=_NOT_COPIED)
        (self.folder / "build").mkdir()
        (self.folder / "build/package").symlink_to(PACKAGE)
        (self.folder / "terraform.rc").write_text(cli_configuration(find_mirror(os.environ)))

    @property
    def root(self) -> Path:
        """The root module."""
        return self.folder / "terraform"

    def run(self, *arguments: str, folder: str = ".") -> str:
        """Run one command and return what it printed.

        Raises:
            TerraformError: it failed.
        """
        done = subprocess.run(
            [_terraform(), f"-chdir={self.root / folder}", *arguments],
            env={
                "HOME": str(self.folder),
                "PATH": os.environ["PATH"],
                "TF_CLI_CONFIG_FILE": str(self.folder / "terraform.rc"),
                "TF_IN_AUTOMATION": "1",
                "CHECKPOINT_DISABLE": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise TerraformError(done.stdout + done.stderr)
        return done.stdout

    def against(self, aws: LoopbackAws, environment: str) -> "Deployment":
        """Point providers and state at an emulated account, and initialise."""
        (self.root / "emulator_override.tf").write_text(_providers(aws.endpoint_url))
        (self.root / "emulator.s3.tfbackend").write_text(_backend(aws.endpoint_url))
        aws.create_bucket(STATE_BUCKET)
        self.run("init", "-input=false", "-no-color", "-backend-config=emulator.s3.tfbackend")
        return Deployment(self, environment)


@dataclass(slots=True)
class Deployment:
    """One environment of an initialised workplace."""

    workplace: Workplace
    environment: str
    variables: dict[str, str] = field(default_factory=dict)
    """On top of the environment's file, in Terraform's own notation."""

    def apply(self) -> float:
        """Build what is missing; return the seconds it took."""
        return self._timed("apply", "-auto-approve")

    def destroy(self) -> float:
        """Take everything away; return the seconds it took."""
        return self._timed("destroy", "-auto-approve")

    def plan(self) -> tuple[Change, ...]:
        """Return what an apply would touch: empty where all is as it should be."""
        self._run("plan", "-out=plan")
        found = json.loads(self.workplace.run("show", "-json", "plan"))
        return tuple(
            Change(one["address"], tuple(one["change"]["actions"]))
            for one in found["resource_changes"]
            if one["change"]["actions"] not in (["no-op"], ["read"])
        )

    def outputs(self) -> Mapping[str, Any]:
        """Return the outputs by name."""
        found = json.loads(self.workplace.run("output", "-json"))
        return {name: one["value"] for name, one in found.items()}

    def resources(self) -> tuple[str, ...]:
        """Return the addresses of all that was built."""
        listed = self.workplace.run("state", "list").split("\n")
        return tuple(one for one in listed if one and ".data." not in f".{one}")

    def _timed(self, *arguments: str) -> float:
        began = time.monotonic()
        self._run(*arguments)
        return time.monotonic() - began

    def _run(self, command: str, *arguments: str) -> str:
        return self.workplace.run(
            command,
            "-input=false",
            "-no-color",
            f"-var-file=environments/{self.environment}.tfvars",
            *(f"-var={name}={value}" for name, value in self.variables.items()),
            *arguments,
        )


@dataclass(frozen=True, slots=True)
class ModuleTests:
    """What `terraform test` ran."""

    runs: Mapping[str, int]
    """The number of run blocks by file."""
    failed: tuple[str, ...]
    """File, run and what Terraform said."""
    seconds: float


def run_module_tests(workplace: Workplace) -> ModuleTests:
    """Run the tests of `terraform/tests` against a mocked provider."""
    began = time.monotonic()
    try:
        printed = workplace.run("test", "-json")
    except TerraformError as error:
        printed = error.printed
    seconds = time.monotonic() - began
    runs: dict[str, int] = {}
    failed, said = list[str](), list[str]()
    for line in printed.splitlines():
        if not line.startswith("{"):
            continue
        message = json.loads(line)
        if message["type"] == "diagnostic":
            said.append(message["diagnostic"]["summary"] + message["diagnostic"]["detail"])
        if message["type"] == "test_run" and message["test_run"].get("progress") == "complete":
            run = message["test_run"]
            file = Path(run["path"]).name
            runs[file] = runs.get(file, 0) + 1
            if run["status"] != "pass":
                failed.append(f"{file}: {run['run']}: {run['status']}")
    return ModuleTests(runs, tuple(failed + said if failed else failed), seconds)


def find_mirror(environ: Mapping[str, str], mirrors: Path = _MIRRORS) -> Path | None:
    """Return the folder of a provider mirror, or None where Terraform has to download.

    `TF_MIRROR` names it; else one below /opt that holds hashicorp/aws is taken.
    """
    if named := environ.get("TF_MIRROR"):
        return Path(named)
    # <mirror>/<registry's host>/hashicorp/aws
    return next((one.parents[2] for one in sorted(mirrors.glob(_MIRRORED))), None)


def cli_configuration(mirror: Path | None) -> str:
    """Return Terraform's own configuration: where it takes providers from."""
    if mirror is None:
        return ""
    return (
        "provider_installation {\n"
        f"  filesystem_mirror {{\n    path    = {json.dumps(str(mirror))}\n"
        '    include = ["registry.terraform.io/hashicorp/aws"]\n  }\n}\n'
    )


def _providers(url: str) -> str:
    """Return the override that sends every provider to the emulator, once each."""
    endpoints = "\n".join(f"    {service} = {json.dumps(url)}" for service in _SERVICES)
    settings = (
        '  access_key                  = "loopback"\n'
        '  secret_key                  = "loopback"\n'
        "  skip_credentials_validation = true\n"
        "  skip_metadata_api_check     = true\n"
        "  s3_use_path_style           = true\n"
        "  max_retries                 = 3\n"
        f"  endpoints {{\n{endpoints}\n  }}\n"
    )
    return "".join(
        f'provider "aws" {{\n{alias}{settings}}}\n' for alias in ("", '  alias = "us"\n')
    )


def _backend(url: str) -> str:
    settings: Sequence[tuple[str, object]] = (
        ("bucket", STATE_BUCKET),
        ("key", "regroup/local.tfstate"),
        ("region", REGION),
        ("access_key", "loopback"),
        ("secret_key", "loopback"),
        ("use_path_style", True),
        ("skip_credentials_validation", True),
        ("skip_metadata_api_check", True),
        ("skip_requesting_account_id", True),
    )
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings]
    return "\n".join([*lines, f"endpoints = {{ s3 = {json.dumps(url)} }}", ""])
