"""What each function asks of AWS and what its role allows: the table in terraform/README.md.

`make permissions` runs the deployment through its life on the emulator and writes the table.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.infra.cycle import Cycle, run_cycle
from tests.infra.iam import Context, Request, Statement, applies, listed
from tests.local.artifacts import sample_artifact
from tests.local.aws import ACCOUNT_ID, REGION

README = Path(__file__).parents[2] / "terraform/README.md"
BEGIN, END = "<!-- permissions: made by `make permissions` -->", "<!-- end of permissions -->"
FUNCTIONS = ("authorizer", "classifier", "collector")
ROLES = (*FUNCTIONS, "publisher")


@dataclass(frozen=True, slots=True)
class Need:
    """A request that a function makes or that is made in its name, and why."""

    request: Request
    why: str


def needs(cycle: Cycle, function: str) -> tuple[Need, ...]:
    """Return all that a role was seen to need, and what Lambda and KMS need in its name."""
    name = f"{cycle.outputs['name']}-{function}"
    return tuple(dict.fromkeys(_needs(cycle, name)))


def _needs(cycle: Cycle, name: str) -> Iterator[Need]:
    (key_arn,) = cycle.built.keys
    for call in cycle.calls[name]:
        yield from _called(call, cycle, key_arn)
    if name not in cycle.built.functions:
        return
    group = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:/aws/lambda/{name}:*"
    for action in ("CreateLogStream", "PutLogEvents"):
        yield Need(Request(f"logs:{action}", group), "Lambda writes its log")
    for mapping in cycle.built.mappings:
        if f":{name}:" in mapping["FunctionArn"]:
            yield from _received(mapping["EventSourceArn"], key_arn)


def _called(call: Mapping[str, Any], cycle: Cycle, key_arn: str) -> Iterator[Need]:
    service, operation, on = call["service"], call["operation"], call["on"]
    why = f"`{operation}`"
    match service:
        case "s3":
            bucket = f"arn:aws:s3:::{on['Bucket']}"
            yield Need(Request(f"s3:{operation}", f"{bucket}/{on['Key']}"), why)
            if operation == "GetObject":
                # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
                yield Need(
                    Request("s3:ListBucket", bucket),
                    "S3 says 404 instead of 403 of what is missing",
                )
            kms = "kms:Decrypt" if operation == "GetObject" else "kms:GenerateDataKey"
            yield Need(Request(kms, key_arn, _via("s3")), f"{why} of encrypted objects")
        case "dynamodb":
            table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{on['TableName']}"
            yield Need(Request(f"dynamodb:{operation}", table), why)
            yield Need(
                Request("kms:Decrypt", key_arn, _via("dynamodb")), "the tables are encrypted"
            )
        case "sqs":
            queue = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{on['QueueUrl'].rpartition('/')[2]}"
            yield Need(Request(f"sqs:{operation}", queue), why)
            for action in ("kms:Decrypt", "kms:GenerateDataKey"):
                yield Need(Request(action, key_arn, _via("sqs")), f"{why} to an encrypted queue")
        case "bedrock-runtime":
            yield from _asked(on["modelId"], why, cycle)
        case _:
            raise ValueError(f"nobody knows what {service}.{operation} needs: say so here")


def _asked(profile_arn: str, why: str, cycle: Cycle) -> Iterator[Need]:
    """Yield the profile, what it wraps, and the model in every region a prompt may go to."""
    action = "bedrock:InvokeModelWithResponseStream"
    yield Need(Request(action, profile_arn), why)
    (candidate,) = (
        one for one in cycle.rendered["candidates"] if one["profile_arn"] == profile_arn
    )
    (profile,) = (
        one for one in cycle.built.profiles.values() if one["inferenceProfileArn"] == profile_arn
    )
    wraps = profile["models"][0]["modelArn"]
    # A profile's id is the model's with a geography before it.
    model = candidate["model_id"]
    if ":inference-profile/" in wraps:
        model = model.partition(".")[2]
    behind = [
        wraps,
        *(
            f"arn:aws:bedrock:{one}::foundation-model/{model}"
            for one in candidate["destination_regions"]
        ),
    ]
    for arn in behind:
        context = (("bedrock:inferenceprofilearn", profile_arn),)
        yield Need(Request(action, arn, context), f"{why} through the profile")


def _received(queue_arn: str, key_arn: str) -> Iterator[Need]:
    why = "Lambda takes messages for it"
    for action in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage"):
        yield Need(Request(f"sqs:{action}", queue_arn), why)
    yield Need(Request("kms:Decrypt", key_arn, _via("sqs")), f"{why} from an encrypted queue")


def _via(service: str) -> Context:
    return (("kms:viaservice", f"{service}.{REGION}.amazonaws.com"),)


def grants(statements: Iterable[Statement]) -> Iterator[tuple[str, str, Statement]]:
    """Yield every action and resource that statements allow, one by one."""
    for statement in statements:
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield action, resource, {**statement, "Action": action, "Resource": resource}


def table(cycle: Cycle) -> str:
    """Return the table of what each function may do, and why it needs to."""
    rows: dict[tuple[str, str, str], dict[str, None]] = {}
    for function in ROLES:
        statements = cycle.built.roles[f"{cycle.outputs['name']}-{function}"]["statements"]
        known = needs(cycle, function)
        for action, resource, statement in grants(statements):
            for need in known:
                if applies(statement, need.request):
                    place = _plain(resource, cycle.outputs["name"])
                    rows.setdefault((function, action, place), {})[need.why] = None
    lines = [
        f"| {function} | `{action}` | {place} | {'; '.join(sorted(why))} |"
        for (function, action, place), why in sorted(rows.items())
    ]
    return "\n".join(["| role | may | on | because |", "|---|---|---|---|", *lines])


_IN_WORDS = {
    ":application-inference-profile/": "the candidates' own profiles",
    ":inference-profile/": "Bedrock's profiles that these wrap",
    "::foundation-model/": "the models behind them, in every region a prompt may go to",
    ":kms:": "the deployment's key, through the service named in the condition",
}


def _plain(arn: str, name: str) -> str:
    for part, words in _IN_WORDS.items():
        if part in arn:
            return words
    text = arn.removeprefix("arn:aws:").replace(ACCOUNT_ID, "ACCOUNT").replace(name, "NAME")
    return f"`{text}`"


def read_table(text: str) -> str:
    """Return the table that stands in a document.

    Raises:
        ValueError: the document has no place for it.
    """
    _, begun, rest = text.partition(BEGIN)
    found, ended, _ = rest.partition(END)
    if not (begun and ended):
        raise ValueError(f"there is no {BEGIN} with its {END} in the document")
    return found.strip()


def write_table(text: str, made: str) -> str:
    """Return a document with a table in its place.

    Raises:
        ValueError: the document has no place for it.
    """
    read_table(text)
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def main() -> None:
    """Run the deployment through its life and write the table."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        artifact, _ = sample_artifact(folder / "router")
        made = table(run_cycle(folder / "cycle", artifact))
    README.write_text(write_table(README.read_text(), made))
    sys.stdout.write(f"{README.name} written\n")


if __name__ == "__main__":
    main()
