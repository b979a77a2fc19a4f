"""Structured log lines and metrics through Powertools, from JSON on standard output."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aws_lambda_powertools import Logger, Metrics

SERVICE = "regroup"


class PowertoolsTelemetry:
    """Writes one log line per event and one metrics line per invocation."""

    def __init__(self, *, component: str) -> None:
        """Name the function; `POWERTOOLS_*` and `LOG_LEVEL` variables are honoured.

        POWERTOOLS_METRICS_NAMESPACE keeps the metrics of two deployments in one account apart.
        """
        self._logger = Logger(service=f"{SERVICE}-{component}")
        self._metrics = Metrics(service=f"{SERVICE}-{component}")
        # Given above, it would outrank the variable.
        self._metrics.provider.namespace = self._metrics.provider.namespace or SERVICE
        # The pointer is followed in a thread, and Metrics goes through its own dictionaries.
        self._lock = threading.Lock()
        self._cold = True

    def event(self, line: Mapping[str, object]) -> None:
        """Write one structured line at level INFO; it never holds prompt text."""
        self._logger.info(str(line.get("event", "event")), extra=dict(line))

    def failure(self, what: str, error: BaseException) -> None:
        """Write that something failed, by the error's type alone: its text may quote a prompt."""
        cause = error.__cause__
        self._logger.error(
            what,
            extra={
                "error_type": type(error).__name__,
                "cause_type": type(cause).__name__ if cause else None,
            },
        )

    def count(self, metric: str, value: float = 1, *, unit: str = "Count") -> None:
        """Add to a metric of this invocation."""
        with self._lock:
            self._metrics.add_metric(name=metric, unit=unit, value=value)

    @contextmanager
    def invocation(self, request_id: str) -> Iterator[None]:
        """Tie lines to one invocation and write its metrics when it ends."""
        self._logger.set_correlation_id(request_id)
        self.count("ColdStart", float(self._cold))
        self._cold = False
        try:
            yield
        finally:
            with self._lock:
                self._metrics.flush_metrics()
