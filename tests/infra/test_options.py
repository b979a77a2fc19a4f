"""What is off by default can be applied as well, and goes again."""

from pathlib import Path

from tests.infra.built import read_account
from tests.infra.terraform import Workplace
from tests.local.aws import LoopbackAws

OPTIONS = {
    "auth": "iam",
    "vpc_endpoint_ids": '["vpce-0123456789abcdef0"]',
    "waf": "true",
    "snap_start": "true",
    "reserved_concurrency": "20",
    "anomaly_detection": "false",
}


def test_a_private_signed_deployment_of_snapshots_behind_a_firewall(tmp_path: Path) -> None:
    with LoopbackAws(complete=True) as aws:
        deployment = Workplace(tmp_path).against(aws, "local")
        deployment.variables.update(OPTIONS)
        deployment.apply()

        again = deployment.plan()
        built = read_account(aws)
        (stage,) = (one for api in built.apis.values() for one in api["stages"])
        firewalls = aws.client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"]
        deployment.destroy()
        left = read_account(aws).names()

    assert again == ()
    assert "regroup-local-authorizer" not in built.functions
    classifier = built.functions["regroup-local-classifier"]
    assert classifier["SnapStart"]["ApplyOn"] == "PublishedVersions"
    assert [api["endpointConfiguration"]["types"] for api in built.apis.values()] == [["PRIVATE"]]
    assert [one["Name"] for one in firewalls] == ["regroup-local"]
    assert stage["webAclArn"] == firewalls[0]["ARN"]
    assert left == set()
