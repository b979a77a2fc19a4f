"""What the collector is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from regroup.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Settings:
    """The collector's variables, checked. Names in capitals are those of the environment."""

    sample_bucket: str
    """SAMPLE_BUCKET: the bucket of sampled interactions."""
    timezone: str = "Asia/Tokyo"
    """TIMEZONE: whose midnight parts the days of samples."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read and check the variables.

        Raises:
            ConfigurationError: naming the variable and what it may be.
        """
        bucket = environ.get("SAMPLE_BUCKET", "")
        if not bucket:
            raise ConfigurationError("SAMPLE_BUCKET is not set: give the bucket for samples")
        return cls(bucket, environ.get("TIMEZONE") or "Asia/Tokyo")
