"""What the cost page counts is what Terraform makes."""

import json
import re
from collections.abc import Iterator

from tests.infra.cycle import Cycle, Served
from training.cost import Deployment

COUNTED = Deployment()


def metrics_of(served: Served) -> Iterator[tuple[str, str]]:
    """Yield name and service of every metric that the functions wrote."""
    for line in served.logs.splitlines():
        if '"CloudWatchMetrics"' in line:
            written = json.loads(line)
            for block in written["_aws"]["CloudWatchMetrics"]:
                for metric in block["Metrics"]:
                    yield metric["Name"], written["service"]


def test_every_metric_that_an_alarm_looks_at_is_counted(cycle: Cycle) -> None:
    looked_at = sum(
        len([one for one in alarm.get("Metrics", []) if "MetricStat" in one]) or 1
        for alarm in cycle.built.alarms.values()
    )

    assert looked_at == COUNTED.alarms


def test_no_more_custom_metrics_are_written_in_good_times_than_are_counted(cycle: Cycle) -> None:
    assert 0 < len(set(metrics_of(cycle.published))) <= COUNTED.custom_metrics


def test_what_is_paid_for_by_existing_is_counted(cycle: Cycle) -> None:
    built = cycle.built

    assert len(built.keys) == COUNTED.kms_keys
    assert len(built.dashboards) == COUNTED.dashboards
    # Local has anomaly detection, and one candidate more than the default.
    assert len(built.anomaly_monitors) == COUNTED.anomaly_monitors + 1
    assert len(built.budgets) == COUNTED.budgets + 1


def test_what_is_kept_and_rented_is_as_large_as_is_counted(cycle: Cycle) -> None:
    name = cycle.outputs["name"]
    groups = [one for one in cycle.built.log_groups if not re.match("API-Gateway-Execution", one)]
    memory = {
        function: cycle.built.functions[f"{name}-{function}"]["MemorySize"]
        for function in ("classifier", "authorizer", "collector")
    }

    # Of the gateway's execution logs only errors are written.
    assert len(groups) + 1 == COUNTED.log_groups
    assert {one["retentionInDays"] for one in cycle.built.log_groups.values()} == {
        COUNTED.log_retention_days
    }
    assert memory == {
        "classifier": COUNTED.classifier_memory_mb,
        "authorizer": COUNTED.authorizer_memory_mb,
        "collector": COUNTED.collector_memory_mb,
    }
