"""What an apply builds: settings that cost money, keep data or open a door."""

import json

import pytest

from tests.infra.cycle import Cycle
from tests.infra.iam import Request, is_denied, listed
from tests.infra.terraform import SOURCE
from tests.local.aws import ACCOUNT_ID

TABLES = {
    "predictions": "query_hash",
    "sessions": "session_id",
    "keys": "key_id",
    "decisions": "decision_id",
}
ALARMS = {
    "classifier-errors": 1,
    "classifier-throttles": 1,
    "classifier-slow": 25_000,
    "authorizer-throttles": 1,
    "collector-errors": 1,
    "collector-throttles": 1,
    "error-rate": 5,
    "fallback-rate": 20,
    "dead-letters": 1,
    "artifact-rejected": 1,
}


def named(cycle: Cycle, what: str) -> str:
    return f"{cycle.outputs['name']}-{what}"


def key_arn(cycle: Cycle) -> str:
    (arn,) = cycle.built.keys
    return arn


@pytest.mark.parametrize(("table", "key"), TABLES.items())
def test_a_table_is_paid_by_use_encrypted_recoverable_and_forgets(
    cycle: Cycle, table: str, key: str
) -> None:
    found = cycle.built.tables[named(cycle, table)]

    assert [one["AttributeName"] for one in found["KeySchema"]] == [key]
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert found["ttl"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expire_at"}
    assert found["pitr"] == "ENABLED"
    assert found["SSEDescription"]["KMSMasterKeyArn"] == key_arn(cycle)


@pytest.mark.parametrize("bucket", ["artifacts", "samples"])
def test_a_bucket_is_closed_encrypted_versioned_and_speaks_tls_alone(
    cycle: Cycle, bucket: str
) -> None:
    name = named(cycle, f"{bucket}-{ACCOUNT_ID}")
    found = cycle.built.buckets[name]

    assert all(found["public"]["PublicAccessBlockConfiguration"].values())
    assert found["versioning"]["Status"] == "Enabled"
    (rule,) = found["encryption"]["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key_arn(cycle),
    }
    plain = Request("s3:GetObject", f"arn:aws:s3:::{name}/x", (("aws:securetransport", "false"),))
    assert is_denied(found["policy"]["Statement"], plain)
    safe = Request("s3:GetObject", f"arn:aws:s3:::{name}/x", (("aws:securetransport", "true"),))
    assert not is_denied(found["policy"]["Statement"], safe)


def test_samples_expire_and_artifacts_do_not(cycle: Cycle) -> None:
    rules = {
        bucket: cycle.built.buckets[named(cycle, f"{bucket}-{ACCOUNT_ID}")]["lifecycle"]["Rules"]
        for bucket in ("artifacts", "samples")
    }

    assert [one["Expiration"]["Days"] for one in rules["samples"]] == [90]
    assert not [one for one in rules["artifacts"] if "Expiration" in one]


@pytest.mark.parametrize("key", ["pointer.json", "artifacts/abc/manifest.json"])
@pytest.mark.parametrize(
    ("role", "condition", "denied"),
    [
        ("publisher", "s3:if-none-match", False),
        ("publisher", "s3:if-match", False),
        ("publisher", None, True),
        ("classifier", "s3:if-match", True),
        ("collector", "s3:if-none-match", True),
        ("admin", "s3:if-match", True),
    ],
)
def test_only_the_publisher_writes_a_router_and_only_on_a_condition(
    cycle: Cycle, role: str, condition: str | None, denied: bool, key: str
) -> None:
    bucket = named(cycle, f"artifacts-{ACCOUNT_ID}")
    context = [
        ("aws:principalarn", f"arn:aws:iam::{ACCOUNT_ID}:role/{named(cycle, role)}"),
        ("aws:securetransport", "true"),
        *([(condition, "*")] if condition else []),
    ]
    request = Request("s3:PutObject", f"arn:aws:s3:::{bucket}/regroup/{key}", tuple(context))

    assert is_denied(cycle.built.buckets[bucket]["policy"]["Statement"], request) is denied


def test_nobody_deletes_a_router(cycle: Cycle) -> None:
    bucket = named(cycle, f"artifacts-{ACCOUNT_ID}")
    policy = cycle.built.buckets[bucket]["policy"]["Statement"]

    for key in ("regroup/pointer.json", "regroup/artifacts/x/heads.npz"):
        for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
            assert is_denied(policy, Request(action, f"arn:aws:s3:::{bucket}/{key}"))


def test_the_key_serves_this_account_its_logs_and_its_alerts_and_rotates(cycle: Cycle) -> None:
    (key,) = cycle.built.keys.values()

    assert key["rotates"]
    account, logs, alerts = key["policy"]["Statement"]
    assert account["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}
    assert ACCOUNT_ID in json.dumps(logs["Condition"])
    assert set(alerts["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
    (topic,) = cycle.built.topics.values()
    (publish,) = json.loads(topic["Policy"])["Statement"]
    assert publish["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT_ID}}
    assert publish["Principal"] == alerts["Principal"]


@pytest.mark.parametrize(("alarm", "threshold"), ALARMS.items())
def test_an_alarm_has_its_threshold_and_somebody_who_hears_it(
    cycle: Cycle, alarm: str, threshold: float
) -> None:
    found = cycle.built.alarms[named(cycle, alarm)]

    assert found["Threshold"] == threshold
    assert found["AlarmActions"] == [cycle.outputs["alerts_topic_arn"]]
    assert found["TreatMissingData"] == "notBreaching"


def test_there_are_no_other_alarms(cycle: Cycle) -> None:
    assert cycle.built.alarms.keys() == {named(cycle, alarm) for alarm in ALARMS}


def test_alarms_count_where_the_functions_count(cycle: Cycle) -> None:
    namespace = cycle.outputs["name"]
    metrics = f'"Namespace":"{namespace}"'

    assert metrics in cycle.published.logs.replace(" ", "")
    assert cycle.built.alarms[named(cycle, "artifact-rejected")]["Namespace"] == namespace
    queries = cycle.built.alarms[named(cycle, "fallback-rate")]["Metrics"]
    counted = [one["MetricStat"]["Metric"] for one in queries if "MetricStat" in one]
    assert {one["Namespace"] for one in counted} == {namespace}
    for one in counted:
        assert f'"{one["MetricName"]}"' in cycle.published.logs
        (dimension,) = one["Dimensions"]
        assert f'"{dimension["Name"]}":"{dimension["Value"]}"' in cycle.published.logs


def test_every_saved_query_looks_at_the_decisions(cycle: Cycle) -> None:
    files = {file.stem: file.read_text() for file in (SOURCE / "queries").glob("*.cwli")}

    name = cycle.outputs["name"]
    assert cycle.built.queries.keys() == {f"{name}/{query}" for query in files}
    for query, text in files.items():
        found = cycle.built.queries[f"{name}/{query}"]
        assert found["queryString"] == text.strip()
        assert found["logGroupNames"] == [cycle.outputs["log_groups"]["classifier"]]


def test_logs_are_kept_for_a_time_and_encrypted(cycle: Cycle) -> None:
    assert cycle.built.log_groups
    for group in cycle.built.log_groups.values():
        assert group["retentionInDays"] == 365
        assert group["kmsKeyId"] == key_arn(cycle)


def test_the_dashboard_shows_the_alarms_first(cycle: Cycle) -> None:
    first, *_ = cycle.built.dashboards[cycle.outputs["name"]]["widgets"]

    shown = {arn.rpartition(":")[2] for arn in first["properties"]["alarms"]}
    assert shown == cycle.built.alarms.keys()


def test_the_whole_and_every_candidate_have_a_budget_of_their_own_tag(cycle: Cycle) -> None:
    name = cycle.outputs["name"]
    tags = {
        budget: filters["CostFilters"]["TagKeyValue"]
        for budget, filters in cycle.built.budgets.items()
    }

    candidates = [one["name"] for one in cycle.rendered["candidates"]]
    assert tags == {
        name: [f"user:regroup-deployment${name}"],
        **{f"{name}-{one}": [f"user:regroup-candidate${name}/{one}"] for one in candidates},
    }
    tagged = [one["tags"] for one in cycle.built.profiles.values()]
    assert {one["regroup-candidate"] for one in tagged} == {f"{name}/{one}" for one in candidates}
    assert {one["regroup-deployment"] for one in tagged} == {name}


def test_a_budget_speaks_before_it_is_spent(cycle: Cycle) -> None:
    for budget in cycle.built.budgets.values():
        told = {(one["NotificationType"], one["Threshold"]) for one in budget["notifications"]}
        assert told == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)}


def test_the_us_candidate_has_its_profile_in_the_us(cycle: Cycle) -> None:
    regions = {
        one["name"]: one["profile_arn"].split(":")[3] for one in cycle.rendered["candidates"]
    }

    assert regions == {
        "haiku": "ap-northeast-1",
        "sonnet": "ap-northeast-1",
        "nova-lite": "ap-northeast-1",
        "llama-70b": "us-west-2",
    }


def test_the_rendered_catalog_is_the_committed_one_with_profiles(cycle: Cycle) -> None:
    committed = json.loads((SOURCE / "catalog.json").read_text())["candidates"]

    assert [
        {word: value for word, value in one.items() if word != "profile_arn"}
        for one in cycle.rendered["candidates"]
    ] == committed


def test_the_queue_gives_the_collector_time_and_bad_messages_a_place(cycle: Cycle) -> None:
    queue = cycle.built.queues[named(cycle, "interactions")]
    dead = cycle.built.queues[named(cycle, "interactions-dead")]
    collector = cycle.built.functions[named(cycle, "collector")]
    (mapping,) = cycle.built.mappings

    assert int(queue["VisibilityTimeout"]) >= 6 * collector["Timeout"]
    redrive = json.loads(queue["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) >= 5
    assert json.loads(dead["RedriveAllowPolicy"])["sourceQueueArns"] == [queue["QueueArn"]]
    assert {queue["KmsMasterKeyId"], dead["KmsMasterKeyId"]} == {key_arn(cycle)}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["EventSourceArn"] == queue["QueueArn"]


@pytest.mark.parametrize("function", ["classifier", "authorizer", "collector"])
def test_a_function_runs_where_its_libraries_do_and_is_called_by_its_alias(
    cycle: Cycle, function: str
) -> None:
    found = cycle.built.functions[named(cycle, function)]

    assert (found["Runtime"], found["Architectures"]) == ("python3.12", ["x86_64"])
    assert [alias["Name"] for alias in found["aliases"]] == ["live"]
    assert found["Version"].isdigit()
    assert found["KMSKeyArn"] == key_arn(cycle)
    assert found["LoggingConfig"]["LogGroup"] == cycle.outputs["log_groups"][function]
    assert not [name for name in found["Environment"]["Variables"] if "SECRET" in name]


def test_the_function_ends_before_the_gateway_hangs_up(cycle: Cycle) -> None:
    (api,) = cycle.built.apis.values()

    assert cycle.built.functions[named(cycle, "classifier")]["Timeout"] < 29
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]


def test_the_stage_logs_who_and_what_but_no_body_and_no_key(cycle: Cycle) -> None:
    (api,) = cycle.built.apis.values()
    (stage,) = api["stages"]
    settings = stage["methodSettings"]["*/*"]

    assert "body" not in stage["accessLogSettings"]["format"].lower()
    assert "authorization" not in stage["accessLogSettings"]["format"].lower()
    assert not settings["dataTraceEnabled"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (50, 100)
    # Nobody needs a key for it.
    health = stage["methodSettings"]["healthz/GET"]
    assert (health["throttlingRateLimit"], health["throttlingBurstLimit"]) == (2, 5)


def test_no_role_may_anything_to_everything(cycle: Cycle) -> None:
    """The one managed policy is AWS's own for API Gateway's logs, which an account has once."""
    for name, role in cycle.built.roles.items():
        for statement in role["statements"]:
            assert "*" not in listed(statement["Resource"]), name
            for action in listed(statement["Action"]):
                assert "*" not in action, (name, action)
    assert {one for role in cycle.built.roles.values() for one in role["managed"]} == {
        "AmazonAPIGatewayPushToCloudWatchLogs"
    }
