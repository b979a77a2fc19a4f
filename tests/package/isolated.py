"""Run by `python3.12 -I -S` on nothing but unpacked zips: import a handler, hand it one event.

Standard input holds `paths`, `handler` and `event`; standard output gets the response and where
every module came from.
"""

import importlib
import json
import sys
from types import SimpleNamespace

told = json.load(sys.stdin)
sys.path.extend(told["paths"])
output, sys.stdout = sys.stdout, sys.stderr
module, _, name = told["handler"].rpartition(".")
handler = getattr(importlib.import_module(module), name)
context = SimpleNamespace(aws_request_id="1", get_remaining_time_in_millis=lambda: 20_000)
response = handler(told["event"], context)
origins = {one: getattr(found, "__file__", None) for one, found in sys.modules.items()}
output.write(json.dumps({"response": response, "origins": origins}))
output.flush()
