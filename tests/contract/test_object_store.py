"""One contract, two stores: S3 over HTTP, and a folder."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from regroup.adapters.object_store import FolderStore, S3ObjectStore, open_object
from regroup.errors import (
    ArtifactNotFoundError,
    ConfigurationError,
    PointerConflictError,
    StoreError,
)
from regroup.ports import ObjectStore
from tests.local.aws import REGION, LoopbackAws

BUCKET = "artifacts"
KEYS = ["pointer.json", f"artifacts/{'a' * 64}/heads.npz"]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with LoopbackAws() as aws:
        client = aws.client("s3")
        client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield client


@pytest.fixture(params=["s3", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "made" / "by the first write")
    client = request.getfixturevalue("s3")
    return S3ObjectStore(BUCKET, f"/{uuid4()}/", lambda: client)


@pytest.mark.parametrize("key", KEYS)
def test_nothing_is_read_where_nothing_was_written(store: ObjectStore, key: str) -> None:
    with pytest.raises(ArtifactNotFoundError, match=f"nothing lies at .*{key}"):
        store.read(key)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"x" * 300_000], ids=["none", "raw", "long"])
def test_an_object_is_read_as_it_was_created(store: ObjectStore, key: str, content: bytes) -> None:
    assert store.create(key, content) is True
    assert store.read(key).content == content


def test_what_was_created_is_never_created_again(store: ObjectStore) -> None:
    assert store.create("once", b"first") is True
    assert store.create("once", b"second") is False
    assert store.create("once", b"first") is False
    assert store.read("once").content == b"first"


def test_an_object_is_replaced_while_it_has_the_tag_one_read(store: ObjectStore) -> None:
    store.create("pointer", b"1")
    store.replace("pointer", b"2", tag=store.read("pointer").tag)
    store.replace("pointer", b"3", tag=store.read("pointer").tag)
    assert store.read("pointer").content == b"3"


def test_an_object_is_not_replaced_by_a_stale_tag(store: ObjectStore) -> None:
    store.create("pointer", b"1")
    stale = store.read("pointer").tag
    store.replace("pointer", b"2", tag=stale)
    with pytest.raises(PointerConflictError, match="pointer was changed meanwhile"):
        store.replace("pointer", b"3", tag=stale)
    assert store.read("pointer").content == b"2"


def test_without_a_tag_only_nothing_is_replaced(store: ObjectStore) -> None:
    store.replace("pointer", b"1", tag=None)
    with pytest.raises(PointerConflictError):
        store.replace("pointer", b"2", tag=None)
    assert store.read("pointer").content == b"1"


def test_an_object_that_is_gone_is_not_replaced(store: ObjectStore) -> None:
    store.create("other", b"1")
    with pytest.raises(PointerConflictError):
        store.replace("pointer", b"2", tag=store.read("other").tag)
    with pytest.raises(ArtifactNotFoundError):
        store.read("pointer")


def test_keys_do_not_meet(store: ObjectStore) -> None:
    for key in ("a", "b", "c/a"):
        store.create(key, key.encode())
    assert [store.read(key).content for key in ("a", "b", "c/a")] == [b"a", b"b", b"c/a"]


def test_the_tag_tells_contents_apart(store: ObjectStore) -> None:
    store.create("a", b"1")
    store.create("b", b"2")
    assert store.read("a").tag == store.read("a").tag
    assert store.read("a").tag != store.read("b").tag


def test_of_writers_that_read_the_same_tag_exactly_one_wins(s3: Any) -> None:
    writers, rounds = 6, 5
    store = S3ObjectStore(BUCKET, f"{uuid4()}", lambda: s3)
    store.create("pointer", b"start")
    ready = Barrier(writers)

    def write(tag: str, name: str) -> bool:
        ready.wait(timeout=10)
        try:
            store.replace("pointer", name.encode(), tag=tag)
        except PointerConflictError:
            return False
        return True

    with ThreadPoolExecutor(writers) as pool:
        for turn in range(rounds):
            tag = store.read("pointer").tag
            names = [f"round {turn}, writer {n}" for n in range(writers)]
            won = list(pool.map(write, [tag] * writers, names))
            winners = [name for name, wins in zip(names, won, strict=True) if wins]
            assert winners == [store.read("pointer").content.decode()]


def test_of_writers_that_create_the_same_key_exactly_one_wins(s3: Any) -> None:
    writers, rounds = 6, 5
    store = S3ObjectStore(BUCKET, f"{uuid4()}", lambda: s3)
    ready = Barrier(writers)

    def write(key: str, name: str) -> bool:
        ready.wait(timeout=10)
        return store.create(key, name.encode())

    with ThreadPoolExecutor(writers) as pool:
        for turn in range(rounds):
            names = [f"writer {n}" for n in range(writers)]
            won = list(pool.map(write, [f"key {turn}"] * writers, names))
            winners = [name for name, wins in zip(names, won, strict=True) if wins]
            assert winners == [store.read(f"key {turn}").content.decode()]


@pytest.fixture(params=["s3", "folder"])
def unwritable(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A store whose bucket was never made, or whose folder is a file."""
    if request.param == "folder":
        (tmp_path / "file").write_bytes(b"")
        return FolderStore(tmp_path / "file")
    client = request.getfixturevalue("s3")
    return S3ObjectStore("no-such-bucket", "", lambda: client)


def test_a_write_to_a_place_that_is_not_there_is_no_silent_false(unwritable: ObjectStore) -> None:
    with pytest.raises(StoreError):
        unwritable.create("pointer", b"1")
    with pytest.raises(StoreError):
        unwritable.replace("pointer", b"1", tag=None)


def test_nothing_is_read_from_a_place_that_is_not_there(unwritable: ObjectStore) -> None:
    with pytest.raises(ArtifactNotFoundError):
        unwritable.read("pointer")


def test_a_folder_is_no_object(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtifactNotFoundError):
        FolderStore(tmp_path).read("folder")


def test_a_folder_holds_objects_and_nothing_else(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "folder").mkdir()
    store.create("a", b"1")
    store.create("a", b"2")
    store.replace("a", b"3", tag=store.read("a").tag)
    with pytest.raises(StoreError):
        store.replace("folder", b"1", tag=None)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "folder"]


def test_a_name_too_long_for_a_file_is_refused_as_the_store_s_own(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        FolderStore(tmp_path).read("x" * 5_000)


def test_an_s3_that_does_not_answer_is_said_so() -> None:
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",  # discard: nothing listens
        region_name=REGION,
        aws_access_key_id="loopback",
        aws_secret_access_key="loopback",
        config=Config(connect_timeout=1, retries={"total_max_attempts": 1}),
    )
    store = S3ObjectStore(BUCKET, "", lambda: client)
    with pytest.raises(StoreError, match="did not answer for s3://artifacts/key"):
        store.read("key")
    with pytest.raises(StoreError, match="did not take s3://artifacts/key"):
        store.create("key", b"1")
    client.close()


class Unasked:
    """A client that finds its settings missing when it is used."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, _: str) -> Any:
        raise self._error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NoRegionError(), "set AWS_DEFAULT_REGION"),
        (NoCredentialsError(), "no AWS credentials were found: set AWS_PROFILE, or .* role"),
        (
            PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            "half of the AWS credentials is missing: set AWS_ACCESS_KEY_ID and AWS_SECRET",
        ),
        (ProfileNotFound(profile="secret"), "AWS_PROFILE names a profile that is not there"),
    ],
)
@pytest.mark.parametrize("when", ["the client is made", "it is used"])
def test_a_shell_without_aws_settings_is_told_which_and_the_cure(
    error: Exception, sentence: str, when: str
) -> None:
    unasked: Any = Unasked(error)

    def make() -> Any:
        if when == "it is used":
            return unasked
        raise error

    store = S3ObjectStore(BUCKET, "", make)
    for act in (lambda: store.read("key"), lambda: store.create("key", b"1")):
        with pytest.raises(StoreError, match=sentence) as caught:
            act()
        assert caught.value.__cause__ is error
        assert "secret" not in str(caught.value)


def test_the_client_is_made_on_first_use_and_once(s3: Any) -> None:
    made = []

    def make() -> Any:
        made.append(s3)
        return s3

    store = S3ObjectStore(BUCKET, f"{uuid4()}", make)
    assert made == []
    store.create("a", b"1")
    store.read("a")
    assert len(made) == 1


@pytest.mark.parametrize(
    ("uri", "kind", "key"),
    [
        ("s3://bucket/pointer.json", S3ObjectStore, "pointer.json"),
        ("s3://bucket/some/prefix/pointer.json", S3ObjectStore, "pointer.json"),
        ("S3://bucket/pointer.json", S3ObjectStore, "pointer.json"),
        ("file:/data/pointer.json", FolderStore, "pointer.json"),
        ("file:///data/pointer.json", FolderStore, "pointer.json"),
        ("file:pointer.json", FolderStore, "pointer.json"),
        ("file:some/pointer.json", FolderStore, "pointer.json"),
        ("file:/data/the%20pointer.json", FolderStore, "the pointer.json"),
    ],
)
def test_an_address_is_split_into_store_and_key(uri: str, kind: type, key: str) -> None:
    store, found = open_object(uri)
    assert (type(store), found) == (kind, key)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "pointer.json",
        "/data/pointer.json",
        "http://bucket/pointer.json",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3://bucket/prefix/",
        "s3:bucket/pointer.json",
        "s3:///pointer.json",
        "s3://[bucket/pointer.json",
        "s3://bucket/pointer.json?versionId=1",
        "s3://bucket/pointer.json#1",
        "file:",
        "file:/",
        "file:.",
        "file:..",
        "file:/data/",
        "file:/data/..",
        "file://data/pointer.json",
    ],
)
def test_what_is_no_object_s_address_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="use s3://bucket/key or file:/path"):
        open_object(uri)


def test_the_key_s_neighbours_lie_beside_it(tmp_path: Path) -> None:
    store, key = open_object(f"file:{tmp_path}/router/pointer.json")
    store.create(key, b"1")
    store.create("artifacts/x", b"2")
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"router/pointer.json", "router/artifacts/x"}
