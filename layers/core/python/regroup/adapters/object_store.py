"""Objects under a `s3://bucket/prefix` or `file:folder` address, written on condition."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from regroup.aws_settings import explain
from regroup.errors import (
    ArtifactNotFoundError,
    ConfigurationError,
    PointerConflictError,
    StoreError,
)
from regroup.ports import ObjectStore, Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PutObjectRequestTypeDef

S3_CONFIG = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 3})
_NO_ADDRESS = "{!r} is not an object's address: use s3://bucket/key or file:/path"
_MISSING = {"NoSuchKey", "404", "NoSuchBucket"}
# S3 answers If-Match on an object that is gone with NoSuchKey.
_CONFLICT = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409"}


class S3ObjectStore:
    """Objects of one bucket under a prefix; writes use S3's own conditions."""

    def __init__(
        self, bucket: str, prefix: str, client: "Callable[[], S3Client] | None" = None
    ) -> None:
        """Keep the address; the client is made on first use."""
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._make_client = client or (lambda: boto3.client("s3", config=S3_CONFIG))
        self._client: S3Client | None = None

    def read(self, key: str) -> Stored:
        """Return an object and its ETag."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + key)
            return Stored(answer["Body"].read(), answer["ETag"])
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                raise ArtifactNotFoundError(f"nothing lies at {self._url(key)}") from error
            raise StoreError(f"S3 refused to read {self._url(key)}") from error
        except BotoCoreError as error:
            raise StoreError(explain(error, f"S3 did not answer for {self._url(key)}")) from error

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless one is there; tell whether it was written."""
        try:
            self.replace(key, content, tag=None)
        except PointerConflictError:
            return False
        return True

    def replace(self, key: str, content: bytes, *, tag: str | None) -> None:
        """Write an object if its ETag is still `tag` (None: if there is none)."""
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": self._prefix + key,
            "Body": content,
        }
        if tag is None:
            request["IfNoneMatch"] = "*"
        else:
            request["IfMatch"] = tag
        try:
            self._s3.put_object(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] in _CONFLICT:
                raise PointerConflictError(f"{self._url(key)} was changed meanwhile") from error
            raise StoreError(f"S3 refused to write {self._url(key)}") from error
        except BotoCoreError as error:
            raise StoreError(explain(error, f"S3 did not take {self._url(key)}")) from error

    @property
    def _s3(self) -> "S3Client":
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def _url(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"


class FolderStore:
    """Objects as files of a folder: for one machine and one writer at a time."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder; it is made by the first write."""
        self._folder = folder

    def read(self, key: str) -> Stored:
        """Return a file and the digest of its bytes."""
        path = self._folder / key
        try:
            content = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ArtifactNotFoundError(f"nothing lies at {path}") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read") from error
        return Stored(content, sha256(content).hexdigest())

    def create(self, key: str, content: bytes) -> bool:
        """Write a file unless one is there; tell whether it was written."""
        path = self._folder / key
        with _written_beside(path, content) as waiting:
            try:
                os.link(waiting, path)
            except FileExistsError:
                return False
        return True

    def replace(self, key: str, content: bytes, *, tag: str | None) -> None:
        """Write a file if its digest is still `tag` (None: if there is none)."""
        path = self._folder / key
        try:
            found = self.read(key).tag
        except ArtifactNotFoundError:
            found = None
        if found != tag:
            raise PointerConflictError(f"{path} was changed meanwhile")
        with _written_beside(path, content) as waiting:
            waiting.replace(path)


@contextmanager
def _written_beside(path: Path, content: bytes) -> Iterator[Path]:
    """Yield a file that holds `content` and is gone afterwards, to link or rename to `path`."""
    waiting = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            waiting.write_bytes(content)
            yield waiting
        finally:
            waiting.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be written") from error


def open_object(
    uri: str, client: "Callable[[], S3Client] | None" = None
) -> tuple[ObjectStore, str]:
    """Split the address of an object into its store and its key there.

    `client` makes what a bucket is read and written through, on first use.

    Raises:
        ConfigurationError: neither `s3://bucket/key` nor `file:path`, or it names a folder.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ConfigurationError(_NO_ADDRESS.format(uri)) from error
    folder, _, name = parts.path.rpartition("/")
    if name in ("", ".", "..") or parts.query or parts.fragment:
        raise ConfigurationError(_NO_ADDRESS.format(uri))
    if parts.scheme == "s3" and parts.netloc:
        return S3ObjectStore(parts.netloc, folder, client), name
    if parts.scheme == "file" and not parts.netloc:
        path = Path(unquote(parts.path))
        return FolderStore(path.parent), path.name
    raise ConfigurationError(_NO_ADDRESS.format(uri))
