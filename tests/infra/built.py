"""What an account holds, read with boto3."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.local.aws import ACCOUNT_ID, REGION, LoopbackAws

US_REGION = "us-west-2"

type Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Built:
    """The settings of everything in the account, by kind and name."""

    tables: Mapping[str, Settings]
    buckets: Mapping[str, Settings]
    functions: Mapping[str, Settings]
    mappings: tuple[Settings, ...]
    queues: Mapping[str, Settings]
    roles: Mapping[str, Settings]
    """Each with `trust` and `policy`, parsed, and the names of `managed` policies."""
    log_groups: Mapping[str, Settings]
    alarms: Mapping[str, Settings]
    queries: Mapping[str, Settings]
    dashboards: Mapping[str, Settings]
    topics: Mapping[str, Settings]
    budgets: Mapping[str, Settings]
    anomaly_monitors: tuple[Settings, ...]
    profiles: Mapping[str, Settings]
    """Application inference profiles of both regions, each with its tags."""
    apis: Mapping[str, Settings]
    keys: Mapping[str, Settings]
    """KMS keys that are not on their way out, each with its policy."""

    def names(self) -> set[str]:
        """Return `kind/name` of everything."""
        kinds: dict[str, Any] = {kind: getattr(self, kind) for kind in self.__slots__}
        return {
            f"{kind}/{name}"
            for kind, found in kinds.items()
            for name in (found if isinstance(found, Mapping) else range(len(found)))
        }


def read_account(aws: LoopbackAws) -> Built:
    """Return what lies in the account now."""
    return Built(
        tables=_tables(aws),
        buckets=_buckets(aws),
        functions=_functions(aws),
        mappings=tuple(_lambda(aws).list_event_source_mappings()["EventSourceMappings"]),
        queues=_queues(aws),
        roles=_roles(aws),
        log_groups=_by("logGroupName", aws.client("logs").describe_log_groups()["logGroups"]),
        alarms=_by("AlarmName", aws.client("cloudwatch").describe_alarms()["MetricAlarms"]),
        queries=_by("name", aws.client("logs").describe_query_definitions()["queryDefinitions"]),
        dashboards=_dashboards(aws),
        topics=_topics(aws),
        budgets=_budgets(aws),
        anomaly_monitors=tuple(aws.client("ce").get_anomaly_monitors()["AnomalyMonitors"]),
        profiles=_profiles(aws),
        apis=_apis(aws),
        keys=_keys(aws),
    )


def _by(name: str, found: list[dict[str, Any]]) -> dict[str, Settings]:
    return {one[name]: one for one in found}


def _lambda(aws: LoopbackAws) -> Any:
    return aws.client("lambda")


def _tables(aws: LoopbackAws) -> dict[str, Settings]:
    client = aws.client("dynamodb")
    return {
        name: {
            **client.describe_table(TableName=name)["Table"],
            "ttl": client.describe_time_to_live(TableName=name)["TimeToLiveDescription"],
            "pitr": client.describe_continuous_backups(TableName=name)[
                "ContinuousBackupsDescription"
            ]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        }
        for name in client.list_tables()["TableNames"]
    }


def _buckets(aws: LoopbackAws) -> dict[str, Settings]:
    client = aws.client("s3")
    read: dict[str, Callable[..., Any]] = {
        "versioning": client.get_bucket_versioning,
        "public": client.get_public_access_block,
        "encryption": client.get_bucket_encryption,
        "lifecycle": client.get_bucket_lifecycle_configuration,
        "ownership": client.get_bucket_ownership_controls,
    }
    found: dict[str, Settings] = {}
    for name in (one["Name"] for one in client.list_buckets()["Buckets"]):
        if name == "terraform-state":
            continue
        policy = json.loads(client.get_bucket_policy(Bucket=name)["Policy"])
        found[name] = {what: call(Bucket=name) for what, call in read.items()} | {"policy": policy}
    return found


def _functions(aws: LoopbackAws) -> dict[str, Settings]:
    client = _lambda(aws)
    return {
        one["FunctionName"]: {
            **client.get_function_configuration(FunctionName=one["FunctionName"], Qualifier="live"),
            "aliases": client.list_aliases(FunctionName=one["FunctionName"])["Aliases"],
        }
        for one in client.list_functions()["Functions"]
    }


def _queues(aws: LoopbackAws) -> dict[str, Settings]:
    client = aws.client("sqs")
    return {
        url.rpartition("/")[2]: client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])[
            "Attributes"
        ]
        for url in client.list_queues().get("QueueUrls", [])
    }


def _roles(aws: LoopbackAws) -> dict[str, Settings]:
    client = aws.client("iam")
    found: dict[str, Settings] = {}
    for role in client.list_roles()["Roles"]:
        name = role["RoleName"]
        policies = [
            client.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]
            for one in client.list_role_policies(RoleName=name)["PolicyNames"]
        ]
        managed = client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        found[name] = {
            "trust": role["AssumeRolePolicyDocument"],
            "statements": [one for policy in policies for one in policy["Statement"]],
            "managed": [one["PolicyName"] for one in managed],
        }
    return found


def _dashboards(aws: LoopbackAws) -> dict[str, Settings]:
    client = aws.client("cloudwatch")
    return {
        one["DashboardName"]: json.loads(
            client.get_dashboard(DashboardName=one["DashboardName"])["DashboardBody"]
        )
        for one in client.list_dashboards()["DashboardEntries"]
    }


def _topics(aws: LoopbackAws) -> dict[str, Settings]:
    client = aws.client("sns")
    return {
        one["TopicArn"]: client.get_topic_attributes(TopicArn=one["TopicArn"])["Attributes"]
        for one in client.list_topics()["Topics"]
    }


def _budgets(aws: LoopbackAws) -> dict[str, Settings]:
    client = aws.client("budgets")
    return {
        one["BudgetName"]: {
            **one,
            "notifications": client.describe_notifications_for_budget(
                AccountId=ACCOUNT_ID, BudgetName=one["BudgetName"]
            )["Notifications"],
        }
        for one in client.describe_budgets(AccountId=ACCOUNT_ID).get("Budgets", [])
    }


def _profiles(aws: LoopbackAws) -> dict[str, Settings]:
    found: dict[str, Settings] = {}
    for region in (REGION, US_REGION):
        client = aws.client("bedrock", region)
        for one in client.list_inference_profiles()["inferenceProfileSummaries"]:
            tags = client.list_tags_for_resource(resourceARN=one["inferenceProfileArn"])["tags"]
            found[one["inferenceProfileName"]] = {
                **one,
                "tags": {tag["key"]: tag["value"] for tag in tags},
            }
    return found


def _apis(aws: LoopbackAws) -> dict[str, Settings]:
    client = aws.client("apigateway")
    return {
        one["id"]: {
            **one,
            "stages": client.get_stages(restApiId=one["id"])["item"],
        }
        for one in client.get_rest_apis()["items"]
    }


def _keys(aws: LoopbackAws) -> dict[str, Settings]:
    client = aws.client("kms")
    aliases = client.list_aliases()["Aliases"]
    # The keys that AWS keeps for an account come with the first encrypted thing.
    of_aws = {
        one.get("TargetKeyId") for one in aliases if one["AliasName"].startswith("alias/aws/")
    }
    found: dict[str, Settings] = {}
    for key in client.list_keys()["Keys"]:
        described = client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        # A destroyed key lives on for a week.
        if key["KeyId"] in of_aws or described["KeyState"] == "PendingDeletion":
            continue
        policy = client.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"]
        found[key["KeyArn"]] = {
            "policy": json.loads(policy),
            "rotates": client.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"],
        }
    return found
