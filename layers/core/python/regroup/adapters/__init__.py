"""One SDK each, behind the protocols of `regroup.ports`."""

import os

# onnxruntime would report its use to its maker, from a thread and a database of its own, and asks
# while it is imported: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
