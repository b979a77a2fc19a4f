"""What checkov says of the Terraform: failed checks, and skipped ones with their reasons."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tests.infra.terraform import ROOT, SOURCE

CHECKOV = ROOT / ".venv-checkov/bin/checkov"


@dataclass(frozen=True, slots=True)
class Scan:
    """One run of checkov."""

    passed: int
    failed: tuple[str, ...]
    """Check and resource."""
    skipped: Mapping[str, frozenset[str]]
    """The reasons by check."""


def scan_terraform() -> Scan:
    """Run checkov on the sources, without a network."""
    done = subprocess.run(
        [
            str(CHECKOV),
            *("--directory", str(SOURCE), "--framework", "terraform"),
            *("--skip-download", "--compact", "--output", "json"),
        ],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"checkov did not run: {(done.stdout + done.stderr)[-2000:]}")
    found = json.loads(done.stdout)
    skipped: dict[str, set[str]] = {}
    for one in found["results"]["skipped_checks"]:
        reason = one["check_result"]["suppress_comment"]
        skipped.setdefault(one["check_id"], set()).add(reason)
    return Scan(
        passed=found["summary"]["passed"],
        failed=tuple(
            f"{one['check_id']} {one['resource']}" for one in found["results"]["failed_checks"]
        ),
        skipped={check: frozenset(reasons) for check, reasons in skipped.items()},
    )
