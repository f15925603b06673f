"""The S3 bucket against a real S3 endpoint: listing, reading, and every way in which it says no."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.bucket import open_bucket
from pipeline.conversion import convert
from pipeline.errors import ObjectChanged, Unavailable, UsageError
from pipeline.manifest import FILES, MANIFEST, load_manifest
from pipeline.modelplace import fetch, keep
from pipeline.s3_bucket import S3Bucket
from pipeline.s3_modelplace import S3Models
from pipeline.s3_viewcache import S3ViewCache
from pipeline.study import Converted, ObjectRef, Preprocessing, Refused
from tests.checkpoints import write_checkpoint
from tests.dicom_builder import CT_IMAGE, dicom_bytes, ramp
from tests.services.s3_service import S3Service

PREPROCESSING = Preprocessing(height=64, width=64, fit="squash")
KEYS = ["a b+c.dcm", "a/ä.dcm", "a/b/c.dcm", "marker/", "z%41.dcm"]


@pytest.fixture(scope="module")
def client(s3_service: S3Service) -> Any:
    client = s3_service.client()
    client.create_bucket(Bucket="archive")
    for key in KEYS:
        client.put_object(Bucket="archive", Key=key, Body=b"" if key.endswith("/") else key.encode())
    return client


def listed(bucket: S3Bucket) -> dict[str, ObjectRef]:
    return {ref.key: ref for ref in bucket.list()}


def test_every_object_is_listed_in_the_order_of_its_keys_bytes(client: Any) -> None:
    refs = list(S3Bucket("archive", client=client).list())
    assert [ref.key for ref in refs] == sorted(KEYS, key=str.encode)
    assert [ref.size for ref in refs] == [0 if ref.key.endswith("/") else len(ref.key.encode()) for ref in refs]
    assert all(ref.last_modified.tzinfo is not None and '"' not in ref.etag for ref in refs)


def test_a_prefix_narrows_the_listing_but_not_the_name(client: Any) -> None:
    bucket = S3Bucket("archive", "a/", client=client)
    assert list(listed(bucket)) == ["a/b/c.dcm", "a/ä.dcm"]
    assert bucket.name == S3Bucket("archive", client=client).name == "s3://archive"


@pytest.mark.parametrize("after", ["", "a b+c.dcm", "a/", "a/z", "a/ä.dcm", "zz"])
@pytest.mark.parametrize("within", ["", "a", "a/", "a/b/", "b"])
def test_a_listing_goes_on_after_a_key_and_keeps_within_a_prefix(client: Any, after: str, within: str) -> None:
    expected = [k for k in sorted(KEYS, key=str.encode) if k.encode() > after.encode() and k.startswith(within)]
    for prefix in ("", "a", "a/b"):
        bucket = S3Bucket("archive", prefix, client=client)
        assert bucket.prefix == prefix
        found = [ref.key for ref in bucket.list(after=after, within=within)]
        assert found == [key for key in expected if key.startswith(prefix)]


def test_one_object_is_told_as_the_listing_tells_it(client: Any) -> None:
    bucket = S3Bucket("archive", client=client)
    for key, ref in listed(bucket).items():
        one = bucket.stat(key)
        assert one
        assert (one.key, one.etag, one.size) == (ref.key, ref.etag, ref.size)
        assert abs((one.last_modified - ref.last_modified).total_seconds()) <= 1  # a HEAD rounds to seconds
    assert bucket.stat("a/b") is None
    assert bucket.stat("x" * 1024) is None


def test_a_place_that_does_not_answer_tells_nothing_of_an_object(s3_service: S3Service, client: Any) -> None:
    wrong = S3Bucket("archive", client=s3_service.client(aws_secret_access_key="wrong"))
    with pytest.raises(Unavailable, match="access denied"):
        wrong.stat("z%41.dcm")


def test_a_listing_longer_than_a_page_is_whole(client: Any) -> None:
    client.create_bucket(Bucket="many")
    keys = [f"{number:05d}" for number in range(1005)]
    for key in keys:
        client.put_object(Bucket="many", Key=key, Body=b"")
    assert list(listed(S3Bucket("many", client=client))) == keys
    assert [ref.key for ref in S3Bucket("many", client=client).list(after="00002")] == keys[3:]


def test_an_object_is_read_as_it_was_listed(client: Any) -> None:
    bucket = S3Bucket("archive", client=client)
    for key, ref in listed(bucket).items():
        with bucket.open(ref) as stream:
            assert stream.read() == (b"" if key.endswith("/") else key.encode())


def test_a_replaced_or_deleted_object_is_noticed(client: Any) -> None:
    bucket = S3Bucket("archive", "short-lived", client=client)
    client.put_object(Bucket="archive", Key="short-lived", Body=b"one")
    ref = listed(bucket)["short-lived"]
    client.put_object(Bucket="archive", Key="short-lived", Body=b"two")
    with pytest.raises(ObjectChanged), bucket.open(ref):
        pass
    client.delete_object(Bucket="archive", Key="short-lived")
    with pytest.raises(ObjectChanged), bucket.open(ref):
        pass


def test_a_radiograph_converts_and_a_ct_slice_costs_a_twentieth(client: Any) -> None:
    client.create_bucket(Bucket="images")
    ct = dicom_bytes(np.zeros((1024, 1024), np.uint16), SOPClassUID=CT_IMAGE, Modality="CT")
    client.put_object(Bucket="images", Key="ct", Body=ct)
    client.put_object(Bucket="images", Key="dx", Body=dicom_bytes(ramp(1024, 1024)))
    bucket = S3Bucket("images", client=client)
    for key, ref in listed(bucket).items():
        with bucket.open(ref) as stream:
            taken = _count(stream)
            result = convert(stream, size=ref.size, preprocessing=PREPROCESSING)
        if key == "dx":
            assert isinstance(result, Converted)
        else:
            assert isinstance(result, Refused)
            assert sum(taken) < 0.05 * ref.size


def _count(stream: Any) -> list[int]:
    taken: list[int] = []
    read = stream.read

    def counting(size: int = -1) -> bytes:
        chunk: bytes = read(size)
        taken.append(len(chunk))
        return chunk

    stream.read = counting
    return taken


@pytest.mark.parametrize(
    ("bucket", "changes", "message"),
    [
        ("no-such-bucket", {}, "no such bucket: check the name and AWS_ENDPOINT_URL"),
        ("NOT_a_bucket!", {}, "that is no bucket's name: check it"),
        ("archive", {"aws_access_key_id": "nobody"}, "the access key is unknown there: check AWS_ACCESS_KEY_ID"),
        ("archive", {"aws_secret_access_key": "wrong"}, "the secret key is wrong: check AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_wrong_name_or_credential_is_one_clear_line(
    s3_service: S3Service, client: Any, bucket: str, changes: dict[str, Any], message: str
) -> None:
    ref = next(S3Bucket("archive", client=client).list())
    wrong = S3Bucket(bucket, client=s3_service.client(**changes))
    with pytest.raises(UsageError) as raised:
        list(wrong.list())
    assert str(raised.value).startswith(f"s3://{bucket} at {s3_service.endpoint}: {message}")
    assert "\n" not in str(raised.value)
    assert "wrong" not in str(raised.value).replace("is wrong", "")
    with pytest.raises(Unavailable, match=message.partition(":")[0]), wrong.open(ref):
        pass


@pytest.mark.usefixtures("client")
def test_a_forbidden_bucket_is_one_clear_line(s3_service: S3Service) -> None:
    from botocore import UNSIGNED
    from botocore.config import Config

    anonymous = s3_service.client(config=Config(signature_version=UNSIGNED))
    with pytest.raises(UsageError, match="access denied: let these credentials list and read the bucket"):
        list(S3Bucket("archive", client=anonymous).list())


def test_an_unreachable_endpoint_is_one_clear_line(s3_service: S3Service) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"  # bound but never listening: refused
        bucket = S3Bucket("archive", client=s3_service.client(endpoint_url=endpoint))
        message = f"cannot reach s3://archive at {endpoint}: check AWS_ENDPOINT_URL and the network"
        with pytest.raises(Unavailable) as raised:
            list(bucket.list())
    assert str(raised.value) == message


def test_no_credentials_is_one_clear_line(
    s3_service: S3Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_service.endpoint)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="no S3 credentials found: set AWS_PROFILE or the two keys"):
        list(open_bucket("s3://archive").list())
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="nobody"):
        open_bucket("s3://archive")


@pytest.mark.usefixtures("client")
def test_the_aws_environment_is_enough(s3_service: S3Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_service.environment.items():
        monkeypatch.setenv(name, value)
    assert [ref.key for ref in open_bucket("s3://archive/a/b").list()] == ["a/b/c.dcm"]


@contextlib.contextmanager
def cutting(endpoint: str, after: int) -> Iterator[str]:
    """A door to the endpoint that closes each connection after that many bytes of reply."""
    host, port = endpoint.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while request := near.recv(65536):
                far.sendall(request)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                with near, socket.create_connection((host, int(port))) as far:
                    threading.Thread(target=forward, args=(near, far), daemon=True).start()
                    left = after
                    while left > 0 and (chunk := far.recv(min(left, 65536))):
                        near.sendall(chunk)
                        left -= len(chunk)
                    near.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_a_connection_that_breaks_under_way_is_unavailable(s3_service: S3Service, client: Any) -> None:
    client.create_bucket(Bucket="big")
    client.put_object(Bucket="big", Key="dx", Body=dicom_bytes(ramp(1024, 1024)))
    ref = next(S3Bucket("big", client=client).list())
    with cutting(s3_service.endpoint, 300_000) as endpoint:
        bucket = S3Bucket("big", client=s3_service.client(endpoint_url=endpoint))
        with pytest.raises(Unavailable, match="the connection broke"), bucket.open(ref) as stream:
            convert(stream, size=ref.size, preprocessing=PREPROCESSING)


def test_views_are_kept_in_a_bucket(client: Any) -> None:
    client.create_bucket(Bucket="views")
    cache = S3ViewCache("views", "night", client=client)
    view, sha = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64), "ab" + "0" * 62
    assert cache.get(sha, PREPROCESSING) is None
    cache.put(sha, PREPROCESSING, view)
    found = cache.get(sha, PREPROCESSING)
    assert found is not None
    assert np.array_equal(found, view)
    (entry,) = client.list_objects_v2(Bucket="views")["Contents"]
    assert entry["Key"] == f"night/v2-64x64-squash-bilinear/ab/{sha}.png"
    client.put_object(Bucket="views", Key=entry["Key"], Body=b"\x89PNG damaged")
    assert cache.get(sha, PREPROCESSING) is None


def test_a_bucket_that_takes_or_gives_no_views_is_one_clear_line(client: Any) -> None:
    cache = S3ViewCache("nowhere", "", client=client)
    with pytest.raises(Unavailable, match=r"s3://nowhere/' takes no more \(NoSuchBucket\)"):
        cache.put("0" * 64, PREPROCESSING, np.zeros((64, 64), np.uint8))
    with pytest.raises(Unavailable, match="does not answer"):
        cache.get("0" * 64, PREPROCESSING)


def test_models_are_kept_in_a_bucket(client: Any, tmp_path: Path) -> None:
    client.create_bucket(Bucket="models")
    place = S3Models("models", "site/", client=client)
    assert fetch(place, "paper", "1", cache=tmp_path / "cache") is None
    keep(place, write_checkpoint(tmp_path / "made"))
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket="models")["Contents"]]
    assert sorted(keys) == [f"site/paper/1/{name}" for name in sorted((*FILES, MANIFEST))]
    found = fetch(place, "paper", "1", cache=tmp_path / "cache")
    assert found is not None
    assert load_manifest(found).title == "paper 1"


def test_a_bucket_that_takes_or_gives_no_models_is_one_clear_line(client: Any, tmp_path: Path) -> None:
    place = S3Models("nowhere", "", client=client)
    with pytest.raises(Unavailable, match=r"nowhere/' does not answer \(NoSuchBucket\): check NIGHTREAD_MODELS"):
        keep(place, write_checkpoint(tmp_path / "made"))
    with pytest.raises(Unavailable, match=r"does not take 'a' \(NoSuchBucket\)"):
        place.put(tmp_path / "made" / MANIFEST, "a")
