"""Build the collector from its settings: the one place that names adapters."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collector.services import SampleService
from collector.settings import Settings
from regroup.adapters.object_store import S3ObjectStore
from regroup.adapters.telemetry import PowertoolsTelemetry
from regroup.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Application:
    """All that the handler needs."""

    samples: SampleService
    telemetry: PowertoolsTelemetry


def build_application(settings: Settings) -> Application:
    """Wire the services.

    Raises:
        ConfigurationError: TIMEZONE names no time zone.
    """
    try:
        timezone = ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(
            f"TIMEZONE is {settings.timezone!r}: use a name such as Asia/Tokyo or UTC"
        ) from error
    telemetry = PowertoolsTelemetry(component="collector")
    store = S3ObjectStore(settings.sample_bucket, "")
    return Application(SampleService(store, telemetry, timezone), telemetry)
