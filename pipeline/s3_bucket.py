"""An S3 bucket, or what stands below a prefix in it: AWS, MinIO, Ceph and their like through boto3.

One ListObjectsV2 page is held at a time. An object is read by a GET of its head, and by one of the rest only
when somebody reads on: a body that nobody reads to its end is sent for the most part all the same, and its
connection is lost. Both name the listed etag, so that the service itself refuses a replaced object. Requests
have time limits and a bounded number of attempts; beyond them the condition is named with the endpoint and the
remedy. Assumes a client made by `default_client` or one like it.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as EndpointError
from urllib3.exceptions import HTTPError

from pipeline.errors import NightreadError, ObjectChanged, Unavailable, UsageError
from pipeline.source import FIRST_READ
from pipeline.study import ObjectRef

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

CONNECT_SECONDS = 5
READ_SECONDS = 30
ATTEMPTS = 4

_CREDENTIALS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the profile) for this endpoint"
_REMEDIES = {
    "NoSuchBucket": "no such bucket: check the name and AWS_ENDPOINT_URL",
    "InvalidAccessKeyId": f"the access key is unknown there: {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key is wrong: {_CREDENTIALS}",
    "InvalidToken": f"the session token is wrong: {_CREDENTIALS}",
    "ExpiredToken": "the session token has expired: sign in again",
    "AccessDenied": f"access denied: let these credentials list and read the bucket, or {_CREDENTIALS}",
    "403": f"access denied: let these credentials list and read the bucket, or {_CREDENTIALS}",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION",
    "InvalidBucketName": "that is no bucket's name: check it",
}
_GONE = frozenset({"NoSuchKey", "PreconditionFailed", "404", "412"})


def default_client() -> "S3Client":
    """A client with endpoint, credentials, profile and region found the AWS way, and with limits."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    try:
        return boto3.client("s3", config=config)
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"the S3 settings cannot be used: {error}") from error


class S3Bucket:
    """The objects below a prefix."""

    def __init__(self, bucket: str, prefix: str = "", *, client: "S3Client") -> None:
        self.name = f"s3://{bucket}"  # without the prefix: an object is the same one, whatever listed it
        self.prefix = prefix
        self._bucket = bucket
        self._client = client

    def list(self, *, after: str = "", within: str = "") -> Iterator[ObjectRef]:
        """Objects below the prefix, as S3 orders them: by the bytes of the key."""
        narrowest = max(self.prefix, within, key=len)
        if not (narrowest.startswith(self.prefix) and narrowest.startswith(within)):
            return
        start: Any = {"StartAfter": after} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=narrowest, **start
        )
        with self._conditions(UsageError):
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield ObjectRef(
                        key=entry["Key"],
                        etag=entry["ETag"].strip('"'),
                        size=entry["Size"],
                        last_modified=entry["LastModified"],
                    )

    def stat(self, key: str) -> ObjectRef | None:
        """The object as one HEAD tells it."""
        try:
            with self._conditions(Unavailable):
                reply = self._client.head_object(Bucket=self._bucket, Key=key)
        except ObjectChanged:
            return None
        return ObjectRef(
            key=key,
            etag=reply["ETag"].strip('"'),
            size=reply["ContentLength"],
            last_modified=reply["LastModified"],
        )

    @contextmanager
    def open(self, ref: ObjectRef) -> Iterator[BinaryIO]:
        """The object's bytes, if it still has the listed etag."""
        stream = _ObjectStream(partial(self._get, ref), ref.size, self._conditions(Unavailable))
        try:
            yield cast(BinaryIO, stream)
        finally:
            stream.close()

    def _get(self, ref: ObjectRef, **span: Any) -> "GetObjectOutputTypeDef":
        with self._conditions(Unavailable):
            reply = self._client.get_object(Bucket=self._bucket, Key=ref.key, IfMatch=f'"{ref.etag}"', **span)
        if reply["ETag"].strip('"') != ref.etag:  # not every service heeds If-Match
            reply["Body"].close()
            raise ObjectChanged("the object was replaced since it was listed")
        return reply

    def _conditions(self, wrong: type[NightreadError]) -> "_Conditions":
        """`wrong` is raised for a wrong name or credential: in a listing it is the person's, later it may pass."""
        return _Conditions(f"{self.name} at {self._client.meta.endpoint_url}", wrong)


class _Conditions(AbstractContextManager[None]):
    """Translates what boto3 raises into our conditions, each one line with the place and the remedy."""

    def __init__(self, place: str, wrong: type[NightreadError]) -> None:
        self._place = place
        self._wrong = wrong

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, (NightreadError, GeneratorExit)):
            return
        condition = self._condition(error)
        if condition is not None:
            raise condition from error

    def _condition(self, error: BaseException) -> NightreadError | None:
        if isinstance(error, ClientError):
            return self._refused(error)
        if isinstance(error, (EndpointError, HTTPClientError)):
            return Unavailable(f"cannot reach {self._place}: check AWS_ENDPOINT_URL and the network")
        if isinstance(error, (IncompleteReadError, ResponseStreamingError, HTTPError, OSError)):
            return Unavailable(f"{self._place}: the connection broke while an object was read")
        if isinstance(error, BotoCoreError):
            return self._wrong(f"{self._place}: {_unsendable(error)}")
        return None

    def _refused(self, error: ClientError) -> NightreadError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _GONE:
            return ObjectChanged("the object was deleted or replaced since it was listed")
        if code == "InvalidObjectState":
            return Unavailable("the object is archived (Glacier): restore it, then retry")
        if code in _REMEDIES:
            return self._wrong(f"{self._place}: {_REMEDIES[code]}")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return Unavailable(f"{self._place} answered {status} {code}: try again later")


def _unsendable(error: BotoCoreError) -> str:
    """Why the request was never sent."""
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return "no S3 credentials found: set AWS_PROFILE or the two keys"
    if isinstance(error, ParamValidationError):
        return "that is no bucket's name: check it"
    return str(error)


class _ObjectStream(io.RawIOBase):
    """The bodies of one GET or two; what breaks under way is the network's fault, not the object's."""

    def __init__(self, get: "Callable[..., GetObjectOutputTypeDef]", size: int, conditions: _Conditions) -> None:
        super().__init__()
        self._get = get
        self._conditions = conditions
        head = get(Range=f"bytes=0-{FIRST_READ - 1}") if size > FIRST_READ else get()
        self._body: Any = head["Body"]
        self._goes_on = size > FIRST_READ and "ContentRange" in head  # a service may send all of it at once

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        with self._conditions:
            if size is None or size < 0:
                return bytes(self._body.read()) + (self._rest().read() if self._goes_on else b"")
            chunk: bytes = self._body.read(size)
            if not chunk and size and self._goes_on:
                chunk = self._rest().read(size)
        return chunk

    def _rest(self) -> Any:
        self._goes_on = False
        self._body.close()
        self._body = self._get(Range=f"bytes={FIRST_READ}-")["Body"]
        return self._body

    def readinto(self, buffer: "memoryview[int]", /) -> int:  # type: ignore[override]
        """Fill `buffer` as far as one read goes."""
        chunk = self.read(min(len(buffer), 1 << 20))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._body.close()
        super().close()
