"""What a source of objects is: a listing and a forward-only read of one listed object. Nothing is ever written.

`open_bucket` turns what a person typed into one. The kinds live in `folder_bucket` and `s3_bucket`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from pipeline.errors import UsageError
from pipeline.study import ObjectRef


class Bucket(Protocol):
    """A place with objects. Every method may block on a disk or a network."""

    @property
    def name(self) -> str:
        """The bucket's identity in the ledger: the same place always has the same name."""

    @property
    def prefix(self) -> str:
        """What the key of each of its objects starts with; "" takes in all."""

    def list(self, *, after: str = "", within: str = "") -> Iterator[ObjectRef]:
        """Objects in the order of their keys' UTF-8 bytes, whatever they hold; memory does not grow with them.

        Only those whose key comes after `after` and starts with `within`.

        Raises UsageError when the place or the credentials are wrong, Unavailable when it does not answer.
        """

    def stat(self, key: str) -> ObjectRef | None:
        """The object as it is now, None where there is none; it need not be below the prefix.

        Raises Unavailable when the place does not answer, or refuses.
        """

    def open(self, ref: ObjectRef) -> AbstractContextManager[BinaryIO]:
        """The object's bytes, forward only, in one request; leaving the context early ends the transfer.

        Raises ObjectChanged when the object is no longer the one that was listed, NotForUs when it can hold no
        bytes (a pipe, a broken link), Unavailable when the place does not answer; reading raises the same.
        """


def open_bucket(source: str) -> Bucket:
    """The bucket at `s3://bucket/prefix`, or the folder of that path; UsageError when it cannot be one.

    A prefix is S3's: `s3://b/2024` also takes in `2024-old/…`; end it with a slash to mean a folder. Endpoint,
    credentials, profile and region come the AWS way (AWS_ENDPOINT_URL, AWS_PROFILE, ~/.aws/…).
    """
    scheme, parted, rest = source.partition("://")
    if not parted:
        from pipeline.folder_bucket import FolderBucket  # noqa: PLC0415 (each kind only when it is asked for)

        return FolderBucket(Path(source))
    if scheme.lower() != "s3":
        raise UsageError(f"the source {source!r} is neither a folder nor an s3://bucket/prefix: give one of these")
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise UsageError(f"the source {source!r} names no bucket: write s3://bucket or s3://bucket/prefix")
    from pipeline.s3_bucket import S3Bucket, default_client  # noqa: PLC0415 (boto3 takes 0.3 s to import)

    return S3Bucket(bucket, prefix, client=default_client())
