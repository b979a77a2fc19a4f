"""From labelled data to a published router; never part of a Lambda package."""

import os

# As in `regroup.adapters`: an export imports onnxruntime without an adapter.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
