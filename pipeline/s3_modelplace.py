"""Models in an S3 bucket of our own, for workers on many machines.

Assumes that the bucket is there and may be read, and written by whoever publishes. S3 shows an object whole or not
at all.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from pipeline.errors import Unavailable, UsageError
from pipeline.s3_bucket import default_client

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class S3Models:
    """Models below a prefix."""

    def __init__(self, bucket: str, prefix: str, *, client: "S3Client") -> None:
        self.local: Path | None = None
        self._place = f"s3://{bucket}/{prefix}"
        self._bucket = bucket
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._client = client

    def put(self, file: Path, name: str) -> None:
        """Keep a file; Unavailable when the bucket does not take it."""
        try:
            with file.open("rb") as body:
                self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=body)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable(
                f"the models' place {self._place!r} does not take {name!r} ({_word(error)}): "
                "let these credentials write there, or set NIGHTREAD_MODELS to another"
            ) from error

    def get(self, name: str, target: Path) -> bool:
        """Write the file to `target`; False when there is none."""
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
            with target.open("wb") as file:
                shutil.copyfileobj(body, file)
        except self._client.exceptions.NoSuchKey:
            return False
        except (ClientError, BotoCoreError, HTTPError, OSError) as error:
            raise Unavailable(
                f"the models' place {self._place!r} does not answer ({_word(error)}): check NIGHTREAD_MODELS"
            ) from error
        return True


def open_s3_models(place: str) -> S3Models:
    """The models at `s3://bucket/prefix`; UsageError when it names none."""
    scheme, _, rest = place.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme.lower() != "s3" or not bucket:
        raise UsageError(
            f"the models' place {place!r} is neither a folder nor s3://bucket/prefix: set NIGHTREAD_MODELS to one"
        )
    return S3Models(bucket, prefix, client=default_client())


def _word(error: Exception) -> str:
    """S3's code for it, or the kind of failure."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "refused"))
    return type(error).__name__
