"""Views in an S3 bucket of our own, for workers on many machines without a shared disk.

One PUT and one GET a view: S3 shows an object whole or not at all. Assumes that the bucket is there and may be
written; lets the site expire old views by a lifecycle rule, since what is gone is converted again.
"""

from io import BytesIO
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import Unavailable, UsageError
from pipeline.s3_bucket import default_client
from pipeline.study import Pixels, Preprocessing
from pipeline.viewcache import decoded, encoded, view_name

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class S3ViewCache:
    """Views below a prefix. Any number of processes may use the same one."""

    def __init__(self, bucket: str, prefix: str, *, client: "S3Client") -> None:
        self._place = f"s3://{bucket}/{prefix}"
        self._bucket = bucket
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._client = client

    def put(self, sha256: str, preprocessing: Preprocessing, pixels: Pixels) -> None:
        """Keep a view; Unavailable when the bucket does not take it."""
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + view_name(sha256, preprocessing),
                Body=encoded(pixels),
                ContentType="image/png",
            )
        except (ClientError, BotoCoreError) as error:
            raise Unavailable(
                f"the view cache {self._place!r} takes no more ({_word(error)}): "
                "let these credentials write there, make room or choose another"
            ) from error

    def get(self, sha256: str, preprocessing: Preprocessing) -> Pixels | None:
        """The view, or None when it is not there whole.

        Raises:
            Unavailable: The bucket does not answer: converting again would only find no room for the view.
        """
        key = self._prefix + view_name(sha256, preprocessing)
        try:
            content = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return None
        except (ClientError, BotoCoreError, OSError) as error:
            raise Unavailable(
                f"the view cache {self._place!r} does not answer ({_word(error)}): check NIGHTREAD_CACHE"
            ) from error
        return decoded(BytesIO(content), preprocessing)


def open_s3_view_cache(place: str) -> S3ViewCache:
    """The cache at `s3://bucket/prefix`; UsageError when it names none."""
    scheme, _, rest = place.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme.lower() != "s3" or not bucket:
        raise UsageError(f"the view cache {place!r} is neither a folder nor s3://bucket/prefix: give one of these")
    return S3ViewCache(bucket, prefix, client=default_client())


def _word(error: Exception) -> str:
    """S3's code for it, or the kind of failure."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "refused"))
    return type(error).__name__
