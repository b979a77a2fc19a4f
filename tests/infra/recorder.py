"""Run Lambda's runtime client, and write down every call that botocore makes meanwhile.

As a wrapper script starts a runtime on Lambda: `python recorder.py -m awslambdaric <handler>`.
Standard library and botocore only: the process sees nothing of this repository.
"""

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from botocore import handlers

NAMES = ("Bucket", "Key", "TableName", "QueueUrl", "modelId")


def record(params: dict[str, Any], model: Any, **_: object) -> None:
    """Write down a call."""
    with Path(os.environ["RECORDED_CALLS"]).open("a") as file:
        file.write(line_of(params, model))


def line_of(params: dict[str, Any], model: Any) -> str:
    """Return service, operation and what it is done to, as a line."""
    line = {
        "service": model.service_model.service_name,
        "operation": model.name,
        "on": {name: params[name] for name in NAMES if name in params},
    }
    return json.dumps(line) + "\n"


if __name__ == "__main__":
    handlers.BUILTIN_HANDLERS.append(("before-parameter-build", record))
    _, _, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
