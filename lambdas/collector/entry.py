"""The deployed handler string `collector.entry.lambda_handler`; importing this builds it all."""

from collector.handler import application, lambda_handler

__all__ = ["lambda_handler"]

application()
