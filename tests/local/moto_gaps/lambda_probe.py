"""A Lambda function to probe with."""

import io
import json
import zipfile
from typing import Any

from tests.local.moto_gaps.gap import ClientFactory


def zip_bytes() -> bytes:
    """Return a zip of one small file."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("handler.py", "def handler(event, context): ...\n")
    return whole.getvalue()


def make_function(client: ClientFactory, name: str, **settings: Any) -> Any:
    """Make a function with version 1 and the alias `live`, and return the client."""
    trust = {"Version": "2012-10-17", "Statement": []}
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    functions = client("lambda")
    functions.create_function(
        FunctionName=name,
        Role=role["Role"]["Arn"],
        Runtime="python3.12",
        Handler="handler.handler",
        Code={"ZipFile": zip_bytes()},
        Publish=True,
        **settings,
    )
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return functions
