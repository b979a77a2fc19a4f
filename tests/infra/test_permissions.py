"""Each function may do what it was seen to need, and nothing else."""

import re
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

import regroup.adapters
from tests.infra.cycle import Cycle
from tests.infra.iam import Request, applies, is_allowed
from tests.infra.permissions import (
    BEGIN,
    END,
    README,
    ROLES,
    grants,
    needs,
    read_table,
    table,
    write_table,
)
from tests.local.aws import ACCOUNT_ID, REGION


def statements(cycle: Cycle, role: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = cycle.built.roles[f"{cycle.outputs['name']}-{role}"][
        "statements"
    ]
    return found


@pytest.mark.parametrize("function", ROLES)
def test_a_role_allows_all_that_its_function_needs(cycle: Cycle, function: str) -> None:
    allowed = statements(cycle, function)

    refused = [need for need in needs(cycle, function) if not is_allowed(allowed, need.request)]

    assert refused == []


@pytest.mark.parametrize("function", ROLES)
def test_a_role_allows_nothing_that_its_function_does_not_need(cycle: Cycle, function: str) -> None:
    known = [need.request for need in needs(cycle, function)]

    unused = [
        (action, resource)
        for action, resource, statement in grants(statements(cycle, function))
        if not any(applies(statement, request) for request in known)
    ]

    assert unused == []


BY_PEOPLE_ALONE = {
    "assume_role",
    "filter_log_events",
    "get_query_results",
    "scan",
    "start_query",
    "stop_query",
}
"""What adapters ask of AWS for the command line and for no function."""


def operations_named() -> set[str]:
    """Return the operations of AWS that the adapters' sources name."""
    (folder,) = map(Path, regroup.adapters.__path__)
    sources = [*folder.glob("*.py"), folder.parent / "dynamodb_item.py"]
    text = "".join(one.read_text() for one in sources)
    session = botocore.session.get_session()
    known = {
        xform_name(operation)
        for service in ("bedrock-runtime", "dynamodb", "logs", "s3", "sqs", "sts")
        for operation in session.get_service_model(service).operation_names
    }
    called = re.findall(r"\.(\w+)\(", text)
    paged = re.findall(r'\.get_paginator\("(\w+)"\)', text)
    return known & {*called, *paged}


def test_every_call_that_the_sources_name_was_seen(cycle: Cycle) -> None:
    seen = {xform_name(call["operation"]) for calls in cycle.calls.values() for call in calls}

    assert operations_named() - seen == BY_PEOPLE_ALONE


ROUTER = f"arn:aws:s3:::regroup-local-artifacts-{ACCOUNT_ID}/regroup"
POINTER, MANIFEST = f"{ROUTER}/pointer.json", f"{ROUTER}/artifacts/x/manifest.json"
SAMPLE = f"arn:aws:s3:::regroup-local-samples-{ACCOUNT_ID}/interactions/x"
KEYS = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/regroup-local-keys"
ASK = "bedrock:InvokeModelWithResponseStream"
HAIKU = f"arn:aws:bedrock:{REGION}::foundation-model/anthropic.claude-haiku-5-5"
OPUS = f"arn:aws:bedrock:{REGION}::foundation-model/anthropic.claude-opus-5-5"


@pytest.mark.parametrize(
    ("role", "action", "resource"),
    [
        ("classifier", "s3:PutObject", POINTER),
        ("classifier", "s3:PutObject", MANIFEST),
        ("classifier", "s3:GetObject", SAMPLE),
        ("classifier", "dynamodb:PutItem", KEYS),
        ("classifier", "dynamodb:Scan", KEYS),
        ("classifier", ASK, HAIKU),
        ("classifier", ASK, OPUS),
        ("authorizer", "dynamodb:UpdateItem", KEYS),
        ("collector", "s3:GetObject", SAMPLE),
        ("collector", "s3:PutObject", POINTER),
        ("collector", ASK, HAIKU),
        ("publisher", ASK, HAIKU),
        ("publisher", "s3:DeleteObject", POINTER),
    ],
)
def test_a_role_may_not(cycle: Cycle, role: str, action: str, resource: str) -> None:
    """A model is asked through its profile alone, never by its own name."""
    assert not is_allowed(statements(cycle, role), Request(action, resource))


def test_the_table_in_the_document_is_what_was_seen(cycle: Cycle) -> None:
    assert read_table(README.read_text()) == table(cycle), "run `make permissions`"


def test_a_table_is_read_where_it_was_written() -> None:
    document = write_table(f"a\n{BEGIN}\nold\n{END}\nb", "new")

    assert document == f"a\n{BEGIN}\n\nnew\n\n{END}\nb"
    assert read_table(document) == "new"


@pytest.mark.parametrize("document", ["nothing", BEGIN, f"{END} {BEGIN}"])
def test_a_document_without_a_place_for_the_table_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="permissions"):
        write_table(document, "| a |")
