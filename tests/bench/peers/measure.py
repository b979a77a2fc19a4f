"""Peer routers on our prompts, each in a process of its own and from their own environment."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.bench.data import REPOSITORY

HERE = Path(__file__).parent
PYTHON = REPOSITORY / ".venv-peers/bin/python"
SCRIPTS = MappingProxyType(
    {
        "semantic_router": HERE / "semantic_router_peer.py",
        "litellm_complexity": HERE / "litellm_peer.py",
    }
)

OFFLINE = {
    # LiteLLM would fetch prices, LangSmith would be sent every prompt.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "AWS_EC2_METADATA_DISABLED": "true",
    "HF_HUB_OFFLINE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""Their variables; no proxy and no key of the shell's is passed on."""


class LeftOutError(Exception):
    """A peer that gave no figures; the message says why, in one line."""


def measure_peers(
    prompts: Mapping[int, Sequence[str]],
    encoder: Path,
    cpu: int,
    *,
    python: Path = PYTHON,
    scripts: Mapping[str, Path] = SCRIPTS,
    timeout_seconds: float = 300.0,
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return what `run.py` printed about each peer by its name, and why the others are left out.

    Args:
        prompts: distinct texts by their number of tokens; at least five of each length.
        encoder: the folder of an exported encoder, for the peer that needs one.
        cpu: the only core that a peer runs on. Each pins itself: this process keeps its cores.
        python: of the peers' environment.
        scripts: see `run.py`, by name of the peer.
        timeout_seconds: for each peer.
    """
    task = {"prompts": {str(n): list(texts) for n, texts in prompts.items()}, "cpu": cpu}
    found, left_out = {}, {}
    for name, script in scripts.items():
        try:
            found[name] = _measure(
                [str(python), "-I", str(HERE / "run.py"), str(script)],
                task | {"encoder": str(encoder.resolve())},
                timeout_seconds,
            )
        except LeftOutError as error:
            left_out[name] = str(error)
    return found, left_out


def _measure(command: list[str], task: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
    try:
        done = subprocess.run(
            command,
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **OFFLINE},
        )
    except FileNotFoundError as error:
        raise LeftOutError(
            "the peers' environment is missing: build it with `make .venv-peers/.ready`"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LeftOutError(f"it took longer than {timeout_seconds:g} s") from error
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[-1] or "no word about why"
        raise LeftOutError(f"it ended with status {done.returncode}: {last}")
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise LeftOutError(f"it printed no JSON: {done.stdout[:80]!r}") from error
    return report
