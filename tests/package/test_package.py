"""What is deployed runs by itself, is the same wherever it is built, and holds nothing else."""

import json
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from layers.package import (
    INFO,
    LAYERS,
    LOCK,
    MOST_UNZIPPED_MB,
    ROOT,
    BuiltZip,
    build_package,
    unzipped_mb,
)
from tests.local.lambda_runtime import LambdaFunction
from tests.local.proxy_events import proxy_event, token_event
from tests.local.stack import KEYS_TABLE, SAMPLES, LocalStack
from tests.local.unpacked import Unpacked, base_python, unpack

ISOLATED = Path(__file__).with_name("isolated.py")
ARCHIVES = ("runtime-layer", "core-layer", *LAYERS)
UNCHECKED_HASH = 0b01
ELF_X86_64 = (b"\x7fELF", 62)


@pytest.fixture(scope="session")
def homes(package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Unpacked]:
    folder = tmp_path_factory.mktemp("unpacked")
    return {function: unpack(function, folder, package) for function in LAYERS}


@pytest.fixture
def stack(small_router: tuple[Path, str]) -> Iterator[LocalStack]:
    with LocalStack(artifact=small_router[0]) as running:
        yield running


def chat_event(path: str) -> dict[str, Any]:
    body = {"model": "regroup", "messages": [{"role": "user", "content": "What is 12 times 7?"}]}
    content = json.dumps(body).encode()
    return proxy_event("POST", path, body=content, authorizer={"key_id": "k"}, request_id="r")


def sqs_record(message_id: str, body: str) -> dict[str, Any]:
    return {"messageId": message_id, "body": body, "eventSource": "aws:sqs"}


def run_isolated(
    home: Unpacked, handler: str, event: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    told = {"paths": list(map(str, home.paths)), "handler": handler, "event": event}
    done = subprocess.run(
        [base_python(), "-I", "-S", "-B", str(ISOLATED)],
        input=json.dumps(told),
        env=dict(environment),
        cwd=home.task,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    known = (*map(str, home.paths), sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    foreign = {
        name: origin
        for name, origin in found["origins"].items()
        if origin and not origin.startswith((*known, str(ISOLATED)))
    }
    assert not foreign
    return found


def test_the_classifier_routes_a_request_with_nothing_but_its_zips(
    stack: LocalStack, homes: dict[str, Unpacked], small_router: tuple[Path, str]
) -> None:
    event, environment = chat_event("/v1/route"), stack.environment()

    found = run_isolated(homes["classifier"], "classifier.entry.lambda_handler", event, environment)

    assert found["response"]["statusCode"] == 200, found["response"]
    decision = json.loads(found["response"]["body"])
    assert decision["routed_model"] in stack.catalog.names
    assert decision["version"] == small_router[1]
    slow = {"sklearn", "scipy", "huggingface_hub", "google.protobuf", "aws_xray_sdk", "onnx"}
    assert not slow & found["origins"].keys()


def test_the_authorizer_lets_a_key_pass_with_the_core_layer_alone(
    stack: LocalStack, homes: dict[str, Unpacked]
) -> None:
    environment = {**stack.aws.environment(), "KEYS_TABLE": KEYS_TABLE}
    event = token_event(f"Bearer {stack.key}", "POST", "/v1/route")

    found = run_isolated(
        homes["authorizer"], "classifier.authorizer.lambda_handler", event, environment
    )

    (statement,) = found["response"]["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert not {"numpy", "pydantic", "onnxruntime"} & found["origins"].keys()


def test_the_collector_takes_a_message_with_nothing_but_its_zips(
    stack: LocalStack, homes: dict[str, Unpacked]
) -> None:
    environment = {**stack.aws.environment(), "SAMPLE_BUCKET": SAMPLES}
    stack.function.handle(chat_event("/v1/chat/completions"))
    (message,) = stack.aws.client("sqs").receive_message(QueueUrl=stack.queue_url)["Messages"]
    event = {"Records": [sqs_record("good", message["Body"]), sqs_record("bad", "{}")]}

    found = run_isolated(homes["collector"], "collector.entry.lambda_handler", event, environment)

    assert found["response"] == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    (stored,) = stack.aws.client("s3").list_objects_v2(Bucket=SAMPLES)["Contents"]
    assert json.loads(message["Body"])["id"] in stored["Key"]
    assert "onnxruntime" not in found["origins"]


def test_the_zips_answer_a_chat_through_the_runtime_client(
    stack: LocalStack, homes: dict[str, Unpacked]
) -> None:
    with LambdaFunction(
        "classifier.entry.lambda_handler", stack.environment(), unpacked=homes["classifier"]
    ) as function:
        response = function.handle(chat_event("/v1/chat/completions"))

    assert response["statusCode"] == 200
    answer = json.loads(response["body"])["choices"][0]["message"]["content"]
    assert answer.endswith("answers: What is 12 times 7?")


def test_the_same_sources_in_another_folder_give_the_same_bytes(
    package: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "somewhere" / "else"
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("layers", "lambdas"):
        shutil.copytree(ROOT / part, copy / part, ignore=ignored)
    # What lies about beside the sources goes nowhere.
    for name in (".env", ".handler.py.swp", "handler.py~", "handler.py.orig", "notes.txt"):
        (copy / "lambdas/classifier" / name).write_text("secret")
    (copy / "lambdas/classifier/link.py").symlink_to("/etc/hostname")
    (copy / LOCK).parent.mkdir()
    shutil.copy(ROOT / LOCK, copy / LOCK)

    infos = build_package(tmp_path / "package", copy)

    before = json.loads((package / INFO).read_bytes())
    assert {name: info.sha256 for name, info in infos.items()} == {
        name: info["sha256"] for name, info in before.items()
    }


def test_every_function_is_within_the_limit(package: Path) -> None:
    infos = {
        name: BuiltZip(**info) for name, info in json.loads((package / INFO).read_bytes()).items()
    }
    assert all(unzipped_mb(infos, function) <= MOST_UNZIPPED_MB for function in LAYERS)
    assert unzipped_mb(infos, "authorizer") < 2


@pytest.mark.parametrize("name", ARCHIVES)
def test_all_python_is_compiled_for_lambda_and_believed_without_a_look_at_its_source(
    package: Path, name: str
) -> None:
    with ZipFile(package / f"{name}.zip") as archive:
        names = set(archive.namelist())
        sources = [one for one in names if one.endswith(".py")]
        for source in sources:
            folder, _, module = source.rpartition("/")
            compiled = f"{folder}/__pycache__/{module.removesuffix('.py')}.cpython-312.pyc"
            header = archive.read(compiled.lstrip("/"))[:8]
            assert header[:4] == MAGIC_NUMBER
            assert int.from_bytes(header[4:], "little") == UNCHECKED_HASH
    assert sources


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_zip_holds_nothing_that_never_runs_and_no_library_for_another_machine(
    package: Path, name: str
) -> None:
    with ZipFile(package / f"{name}.zip") as archive:
        for one in archive.namelist():
            parts = one.split("/")
            assert not {"tests", "sklearn", "boto3", "huggingface_hub", "report"} & set(parts), one
            assert not one.endswith((".pyi", ".onnx", ".pkl", ".env", ".pem")), one
            if parts[-1].endswith(".so") or ".so." in parts[-1]:
                head = archive.read(one)[:20]
                assert (head[:4], int.from_bytes(head[18:20], "little")) == ELF_X86_64, one
