"""AWS Budgets: who is told, tags, and changes."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from moto.budgets.responses import BudgetsResponse

from tests.local.moto_gaps.gap import (
    ACCOUNT_ID,
    ClientFactory,
    Gap,
    around,
    is_missing,
    kept,
    methods,
)

_NOTIFICATION = {
    "NotificationType": "ACTUAL",
    "ComparisonOperator": "GREATER_THAN",
    "Threshold": 80,
    "ThresholdType": "PERCENTAGE",
}


def _budget(name: str) -> dict[str, Any]:
    return {
        "BudgetName": name,
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": "1", "Unit": "USD"},
    }


def _client_of(client: ClientFactory, name: str) -> Any:
    """Make a budget and return the client."""
    budgets = client("budgets")
    subscribers = [{"SubscriptionType": "EMAIL", "Address": "team@example.com"}]
    budgets.create_budget(
        AccountId=ACCOUNT_ID,
        Budget=_budget(name),
        NotificationsWithSubscribers=[{"Notification": _NOTIFICATION, "Subscribers": subscribers}],
    )
    return budgets


def _tells_no_subscribers(client: ClientFactory) -> bool:
    return is_missing(
        _client_of(client, "probe-subscribers").describe_subscribers_for_notification,
        AccountId=ACCOUNT_ID,
        BudgetName="probe-subscribers",
        Notification=_NOTIFICATION,
    )


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    words = ("NotificationType", "ComparisonOperator", "Threshold")
    return all(one[word] == other[word] for word in words)


def _subscribers(response: Any) -> str:
    given = json.loads(response.body)
    budget = response.backend.budgets[given["AccountId"]][given["BudgetName"]]
    found = [
        subscriber
        for notification in budget.notifications
        if _same(notification.details, given["Notification"])
        for subscriber in notification.subscribers
    ]
    return json.dumps({"Subscribers": found})


def _with_subscribers() -> AbstractContextManager[object]:
    return methods(BudgetsResponse, describe_subscribers_for_notification=_subscribers)


def _arn(account_id: str, name: str) -> str:
    return f"arn:aws:budgets::{account_id}:budget/{name}"


def _has_no_tags(client: ClientFactory) -> bool:
    return is_missing(
        _client_of(client, "probe-tags").list_tags_for_resource,
        ResourceARN=_arn(ACCOUNT_ID, "probe-tags"),
    )


def _tags(response: Any, arn: str) -> dict[str, str]:
    """Return the tags of a budget by their keys, to read or to change."""
    tags: dict[str, str] = kept(response.backend, "tags").setdefault(arn, {})
    return tags


def _create(plain: Any, response: Any) -> Any:
    answer = plain(response)
    given = json.loads(response.body)
    tags = _tags(response, _arn(given["AccountId"], given["Budget"]["BudgetName"]))
    tags.update({tag["Key"]: tag["Value"] for tag in given.get("ResourceTags", [])})
    return answer


def _delete(plain: Any, response: Any) -> Any:
    given = json.loads(response.body)
    _tags(response, _arn(given["AccountId"], given["BudgetName"])).clear()
    return plain(response)


def _list_tags(response: Any) -> str:
    tags = _tags(response, json.loads(response.body)["ResourceARN"])
    return json.dumps({"ResourceTags": [{"Key": key, "Value": tags[key]} for key in tags]})


def _tag(response: Any) -> str:
    given = json.loads(response.body)
    added = {tag["Key"]: tag["Value"] for tag in given["ResourceTags"]}
    _tags(response, given["ResourceARN"]).update(added)
    return json.dumps({})


def _untag(response: Any) -> str:
    given = json.loads(response.body)
    for key in given["ResourceTagKeys"]:
        _tags(response, given["ResourceARN"]).pop(key, None)
    return json.dumps({})


@contextmanager
def _with_tags() -> Iterator[None]:
    with (
        around(BudgetsResponse, "create_budget", _create),
        around(BudgetsResponse, "delete_budget", _delete),
        methods(
            BudgetsResponse,
            list_tags_for_resource=_list_tags,
            tag_resource=_tag,
            untag_resource=_untag,
        ),
    ):
        yield


def _cannot_be_changed(client: ClientFactory) -> bool:
    return is_missing(
        _client_of(client, "probe-change").update_budget,
        AccountId=ACCOUNT_ID,
        NewBudget=_budget("probe-change"),
    )


def _update(response: Any) -> str:
    given = json.loads(response.body)
    new = given["NewBudget"]
    response.backend.budgets[given["AccountId"]][new["BudgetName"]].budget.update(new)
    return json.dumps({})


def _with_changes() -> AbstractContextManager[object]:
    return methods(BudgetsResponse, update_budget=_update)


GAPS = (
    Gap("the subscribers of a budget's notification", _tells_no_subscribers, _with_subscribers),
    Gap("tags of a budget", _has_no_tags, _with_tags),
    Gap("changing a budget", _cannot_be_changed, _with_changes),
)
