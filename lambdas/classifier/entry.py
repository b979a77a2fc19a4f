"""The deployed handler string `classifier.entry.lambda_handler`; importing this builds it all.

Lambda runs imports in its init phase, which provisioned concurrency and SnapStart keep warm.
"""

from classifier.handler import application, lambda_handler

__all__ = ["lambda_handler"]

application()
