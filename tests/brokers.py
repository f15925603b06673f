"""The three kinds of broker that events come over, as their senders and their operators use them."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
from kombu import Connection
from redis import Redis

from pipeline.bucket import Bucket
from tests.events import MemoryLedger, Tally, until
from worker.event_queue import REASON_HEADER, EventQueue
from worker.event_transports import open_connection
from worker.intake import Intake


class Broker(Protocol):
    """A queue of events at a real broker."""

    @property
    def url(self) -> str:
        """What the site sets."""

    @property
    def queue(self) -> str:
        """Its name."""

    def push(self, *bodies: bytes) -> None:
        """Send as a bucket does: bare bytes."""

    def depth(self) -> int:
        """Messages that nobody has acknowledged."""

    def dead(self) -> list[tuple[bytes, str]]:
        """Take the dead letters: body and reason."""


@dataclass(frozen=True, kw_only=True)
class Rabbit:
    """AMQP. Knows nothing of a content type, as Ceph."""

    url: str
    queue: str

    def push(self, *bodies: bytes) -> None:
        with Connection(self.url, transport_options={"confirm_publish": True}) as connection:
            channel = connection.channel()
            for body in bodies:
                channel.basic_publish(channel.prepare_message(body), exchange="", routing_key=self.queue)

    def depth(self) -> int:
        raise NotImplementedError

    def dead(self) -> list[tuple[bytes, str]]:
        letters = []
        with Connection(self.url) as connection:
            channel = connection.channel()
            while (message := channel.basic_get(f"{self.queue}.dead")) is not None:
                letters.append((_bytes(message.body), message.headers[REASON_HEADER]))
                channel.basic_ack(message.delivery_tag)
        return letters


@dataclass(frozen=True, kw_only=True)
class RedisList:
    """A list that MinIO pushes to."""

    url: str
    queue: str

    @property
    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def push(self, *bodies: bytes) -> None:
        self.client.rpush(self.queue, *bodies)

    def depth(self) -> int:
        return int(self.client.llen(self.queue)) + int(self.client.hlen(f"{self.queue}.unacked"))

    def dead(self) -> list[tuple[bytes, str]]:
        letters = []
        while element := self.client.rpop(f"{self.queue}.dead"):
            envelope = json.loads(_bytes(element))  # type: ignore[arg-type]
            letters.append((base64.b64decode(envelope["body"]), envelope["headers"][REASON_HEADER]))
        return letters


@dataclass(frozen=True, kw_only=True)
class Sqs:
    """A queue at an imitation of SQS."""

    url: str
    queue: str
    endpoint: str

    @property
    def client(self) -> Any:
        keys: Any = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        return boto3.client("sqs", endpoint_url=self.endpoint, **keys)

    def push(self, *bodies: bytes) -> None:
        client = self.client
        address = client.create_queue(QueueName=self.queue.replace(".", "-"))["QueueUrl"]
        for body in bodies:
            client.send_message(QueueUrl=address, MessageBody=body.decode("utf-8", "replace"))

    def depth(self) -> int:
        client = self.client
        address = client.get_queue_url(QueueName=self.queue.replace(".", "-"))["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = client.get_queue_attributes(QueueUrl=address, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def dead(self) -> list[tuple[bytes, str]]:
        client, letters = self.client, []
        address = client.get_queue_url(QueueName=f"{self.queue}.dead".replace(".", "-"))["QueueUrl"]
        while messages := client.receive_message(
            QueueUrl=address, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                reason = message["MessageAttributes"][REASON_HEADER]["StringValue"]
                letters.append((message["Body"].encode(), reason))
                client.delete_message(QueueUrl=address, ReceiptHandle=message["ReceiptHandle"])
        return letters


def _bytes(body: bytes | str | memoryview) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


@contextmanager
def consuming(
    broker: Broker, bucket: Bucket, ledger: MemoryLedger, *, visible_again_seconds: float = 300
) -> Iterator[Tally]:
    """An intake on its own threads; it is stopped as SIGTERM stops it."""
    tally, stop = Tally(), threading.Event()
    connection = open_connection(broker.url, broker.queue, visible_again_seconds=visible_again_seconds)
    intake = Intake(ledger, bucket, marker="_COMPLETE", counters=tally, again_seconds=(0.1,))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            EventQueue(connection, broker.queue).run(intake, stop)
        except BaseException as error:  # noqa: BLE001  # told by the test's own thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield tally
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        intake.finish()
        if errors:
            raise errors[0]
    until(lambda: not intake.is_busy)
