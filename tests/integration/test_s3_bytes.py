"""What an S3 service really sends for a study that is not for us: counted on the wire, not in our own reads."""

import contextlib
import hashlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pipeline.conversion import convert
from pipeline.errors import ObjectChanged
from pipeline.s3_bucket import S3Bucket
from pipeline.study import Converted, ObjectRef, Preprocessing, Refused
from tests.dicom_builder import CT_IMAGE, dicom_bytes
from tests.services.s3_service import S3Service

PREPROCESSING = Preprocessing(height=64, width=64, fit="squash")
PIXELS = np.arange(512 * 512, dtype=np.uint16).reshape(512, 512) // 64
SLICES = 10


@dataclass
class Wire:
    """A relay that counts what comes back through it."""

    upstream: int
    server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    ends: list[socket.socket] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    connections: int = 0
    sent: int = 0

    @property
    def port(self) -> int:
        return int(self.server.getsockname()[1])

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            service = socket.create_connection(("127.0.0.1", self.upstream))
            self.ends += client, service
            self.begin(self._relay, client, service)
            self.begin(self._relay, service, client, True)

    def begin(self, target: Callable[..., None], *args: object) -> None:
        self.threads.append(threading.Thread(target=target, args=args, daemon=True))
        self.threads[-1].start()

    def close(self) -> None:
        _shut(self.server)
        self.threads[0].join()  # no more connections
        for end in self.ends:
            _shut(end)
        for thread in self.threads:
            thread.join()
        for end in (self.server, *self.ends):
            end.close()

    def _relay(self, source: socket.socket, target: socket.socket, counted: bool = False) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 14):
                self.sent += len(chunk) if counted else 0
                target.sendall(chunk)
        _shut(source)
        _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    relay = Wire(port)
    relay.begin(relay.serve)
    try:
        yield relay
    finally:
        relay.close()


@pytest.fixture(scope="module")
def relay(s3_service: S3Service) -> Iterator[Wire]:
    with wire(s3_service.port) as relay:
        yield relay


@pytest.fixture(scope="module")
def client(s3_service: S3Service, relay: Wire) -> Iterator[Any]:
    client = s3_service.client(endpoint_url=f"http://127.0.0.1:{relay.port}")
    client.create_bucket(Bucket="slices")
    for number in range(SLICES):
        uid = f"1.2.{number}"
        body = dicom_bytes(PIXELS, SOPClassUID=CT_IMAGE, Modality="CT", SOPInstanceUID=uid)
        client.put_object(Bucket="slices", Key=f"ct/{number:03}", Body=body)
    client.put_object(Bucket="slices", Key="dx", Body=dicom_bytes(PIXELS))
    yield client
    client.close()


def test_a_ct_study_is_refused_for_a_twentieth_of_its_bytes(client: Any, relay: Wire) -> None:
    bucket = S3Bucket("slices", "ct/", client=client)
    refs = list(bucket.list())
    sent, connections = relay.sent, relay.connections
    for ref in refs:
        with bucket.open(ref) as stream:
            assert isinstance(convert(stream, size=ref.size, preprocessing=PREPROCESSING), Refused)
    assert sum(ref.size for ref in refs) > SLICES * PIXELS.nbytes
    assert relay.sent - sent < 0.05 * sum(ref.size for ref in refs)
    assert relay.connections == connections  # none is lost over a refusal


def test_a_radiograph_is_sent_once(client: Any, relay: Wire) -> None:
    bucket = S3Bucket("slices", "dx", client=client)
    (ref,) = bucket.list()
    sent = relay.sent
    with bucket.open(ref) as stream:
        result = convert(stream, size=ref.size, preprocessing=PREPROCESSING)
    assert isinstance(result, Converted)
    assert result.sha256 == hashlib.sha256(dicom_bytes(PIXELS)).hexdigest()
    assert relay.sent - sent < 1.01 * ref.size
    with bucket.open(ref) as stream:
        assert stream.read() == dicom_bytes(PIXELS)


def test_an_object_that_is_replaced_under_way_is_noticed(client: Any) -> None:
    client.put_object(Bucket="slices", Key="late", Body=dicom_bytes(PIXELS))
    bucket = S3Bucket("slices", "late", client=client)
    (ref,) = bucket.list()
    with bucket.open(ref) as stream:
        assert stream.read(132)[128:] == b"DICM"
        client.put_object(Bucket="slices", Key="late", Body=dicom_bytes(PIXELS + 1))
        with pytest.raises(ObjectChanged):
            convert(stream, size=ref.size, preprocessing=PREPROCESSING)


class Heedless:
    """A service that sends the whole object whatever range it is asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked = 0
        self.meta = type("Meta", (), {"endpoint_url": "http://nowhere"})

    def get_object(self, **_: Any) -> dict[str, Any]:
        self.asked += 1
        return {"ETag": '"e"', "Body": io.BytesIO(self.content)}


def test_a_service_that_heeds_no_range_is_read_all_the_same() -> None:
    content = bytes(range(256)) * 256
    client: Any = Heedless(content)
    ref = ObjectRef(key="k", etag="e", size=len(content), last_modified=datetime.now(UTC))
    with S3Bucket("b", client=client).open(ref) as stream:
        assert b"".join(iter(lambda: stream.read(1000), b"")) == content
    assert client.asked == 1
