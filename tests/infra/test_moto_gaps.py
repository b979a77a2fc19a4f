"""What makes up for moto is still needed, and does it."""

import json

from tests.local.aws import LoopbackAws
from tests.local.moto_gaps import GAPS
from tests.local.moto_gaps.apigateway import DOCUMENT


def test_moto_still_lacks_what_every_entry_says() -> None:
    with LoopbackAws() as plain:
        unnecessary = [gap.name for gap in GAPS if not gap.is_open(plain.client)]

    assert unnecessary == [], "moto has these now: take their entries out"


def test_a_complete_account_lacks_nothing() -> None:
    with LoopbackAws(complete=True) as complete:
        missing = [gap.name for gap in GAPS if gap.is_open(complete.client)]

    assert missing == []


def test_what_makes_up_for_moto_goes_with_its_account() -> None:
    with LoopbackAws(complete=True):
        pass
    with LoopbackAws() as plain:
        left = [gap.name for gap in GAPS if not gap.is_open(plain.client)]

    assert left == []


def test_an_export_is_the_document_that_was_deployed_last() -> None:
    with LoopbackAws(complete=True) as aws:
        gateway = aws.client("apigateway")
        api_id = gateway.create_rest_api(name="api")["id"]
        exported = []
        for version, is_deployed in (("1", True), ("2", False), ("3", True)):
            body = json.dumps(DOCUMENT | {"info": {"title": "api", "version": version}})
            gateway.put_rest_api(restApiId=api_id, mode="overwrite", body=body)
            if is_deployed:
                gateway.create_deployment(restApiId=api_id, stageName="live")
            answer = gateway.get_export(restApiId=api_id, stageName="live", exportType="oas30")
            exported.append(json.loads(answer["body"].read())["info"]["version"])

    assert exported == ["1", "1", "3"]
