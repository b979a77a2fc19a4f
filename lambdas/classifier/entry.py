"""The deployed handler string `classifier.entry.lambda_handler`; importing this builds it all.

Lambda runs imports in its init phase, which provisioned concurrency and SnapStart keep warm.
"""

import gc
import os
import time
from functools import partial

from classifier.stopwatch import Stopwatch

__all__ = ["lambda_handler"]

_watch = Stopwatch(time.monotonic)
# numpy's products here are small, and its threads spin for work that never comes.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
# Imports leave next to no garbage, and would spend time on looking for it.
gc.disable()
with _watch.part("imports"):
    from classifier.bootstrap import build_application
    from classifier.handler import handle
    from classifier.settings import Settings
    from classifier.snapshot import register

_app = build_application(Settings.from_environment(), _watch)
register(_app.snapshot)
lambda_handler = partial(handle, _app)
# What is there now stays, so no collection need go through it while a request waits.
gc.freeze()
gc.enable()
