"""Intake at real brokers: what a bucket pushes is recorded and acknowledged, or dead-lettered, or comes again."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from amqp.exceptions import MessageNacked
from moto.server import ThreadedMotoServer

from pipeline.events import LONGEST_MESSAGE
from tests.brokers import Broker, Rabbit, RedisList, Sqs, consuming
from tests.events import MemoryBucket, MemoryLedger, access_element, message, until
from tests.services.rabbitmq_service import RabbitMQ

NUMBERS = count(1)


@pytest.fixture(scope="session")
def sqs_endpoint() -> Iterator[str]:
    """An imitation of SQS: the real one is not to be had on a private machine."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["rabbitmq", "redis", "sqs"])
def broker(request: pytest.FixtureRequest) -> Broker:
    name = f"events.{next(NUMBERS)}"
    if request.param == "rabbitmq":
        node: RabbitMQ = request.getfixturevalue("rabbitmq")
        return Rabbit(url=node.url, queue=name)
    if request.param == "redis":
        return RedisList(url=request.getfixturevalue("redis_url"), queue=name)
    endpoint: str = request.getfixturevalue("sqs_endpoint")
    return Sqs(url=endpoint.replace("http://", "sqs://a:b@"), queue=name, endpoint=endpoint)


@pytest.fixture
def rabbit(rabbitmq: RabbitMQ) -> Rabbit:
    return Rabbit(url=rabbitmq.url, queue=f"events.{next(NUMBERS)}")


def prepared(broker: Broker) -> Broker:
    """The queues are there."""
    with consuming(broker, MemoryBucket(), MemoryLedger()):
        until(lambda: _there(broker))
    return broker


def _there(broker: Broker) -> bool:
    try:
        return broker.dead() == []
    except Exception:  # noqa: BLE001  # each broker has its own word for a queue that is not there yet
        return False


def _pushed(broker: Broker, *bodies: bytes) -> bool:
    """A queue that has no leader yet refuses."""
    try:
        broker.push(*bodies)
    except MessageNacked:
        return False
    return True


def test_what_a_bucket_pushes_is_recorded_and_acknowledged(broker: Broker) -> None:
    keys = [f"s/ä {number}" for number in range(60)]
    ledger = MemoryLedger()
    prepared(broker).push(*map(message, keys))
    with consuming(broker, MemoryBucket(set(keys)), ledger) as tally:
        until(lambda: len(ledger.known) == 60, seconds=30)
    assert ledger.known == sorted(keys)
    assert tally["recorded"] == 60
    again = MemoryLedger()
    with consuming(broker, MemoryBucket(set(keys)), again):
        broker.push(message("s/ä 1"))
        until(lambda: again.known == ["s/ä 1"], seconds=30)  # and nothing of before
    assert broker.dead() == []


def test_whatever_is_no_event_goes_to_the_dead_letter_queue_with_its_reason(broker: Broker) -> None:
    odd = [
        b"no json",
        b'{"properties": 5}',
        b'{"body": 1, "headers": {"x-nightread-raw": 1}}',
        b'"text"',
        b"aGVsbG8=",
    ]
    ledger = MemoryLedger()
    prepared(broker).push(*odd, message("x", bucket="other"), message("good"))
    with consuming(broker, MemoryBucket({"good"}), ledger) as tally:
        until(lambda: ledger.known == ["good"] and tally["dead"] == 6, seconds=30)
    letters = dict(broker.dead())
    assert set(letters) == {*odd, message("x", bucket="other")}
    assert letters[b"no json"] == "no JSON"
    assert letters[message("x", bucket="other")] == "of the bucket 'other', not of 'scans'"


def test_messages_that_an_intake_had_when_it_was_stopped_come_again(broker: Broker) -> None:
    prepared(broker).push(message("a"))
    away = MemoryLedger()
    away.away.set()
    bucket = MemoryBucket({"a"})
    with consuming(broker, bucket, away, visible_again_seconds=1):
        until(lambda: bucket.asked["a"], seconds=30)
    assert away.known == []
    ledger = MemoryLedger()
    with consuming(broker, bucket, ledger, visible_again_seconds=1):
        until(lambda: ledger.known == ["a"], seconds=30)


HOLDS = """
import sys, time
from tests.brokers import RedisList, consuming
from tests.events import MemoryBucket, MemoryLedger
ledger = MemoryLedger()
ledger.away.set()
with consuming(RedisList(url=sys.argv[1], queue=sys.argv[2]), MemoryBucket({"a"}), ledger):
    time.sleep(600)
"""


def test_what_a_killed_intake_held_of_redis_comes_again(redis_url: str) -> None:
    broker = RedisList(url=redis_url, queue=f"events.{next(NUMBERS)}")
    broker.push(message("a"))
    held = subprocess.Popen([sys.executable, "-c", HOLDS, redis_url, broker.queue], stdout=subprocess.DEVNULL)
    try:
        until(lambda: broker.client.hlen(f"{broker.queue}.unacked") == 1, seconds=60)
    finally:
        held.kill()
        held.wait()
    ledger = MemoryLedger()
    with consuming(broker, MemoryBucket({"a"}), ledger, visible_again_seconds=1):
        until(lambda: ledger.known == ["a"], seconds=30)
        until(lambda: broker.depth() == 0)


def test_a_list_of_minio_is_read(redis_url: str) -> None:
    broker = RedisList(url=redis_url, queue=f"events.{next(NUMBERS)}")
    ledger = MemoryLedger()
    broker.push(access_element("a b"), access_element("c"), b"\xff\x00", b"[" * 10_000)
    with consuming(broker, MemoryBucket({"a b", "c"}), ledger) as tally:
        until(lambda: ledger.known == ["a b", "c"] and tally["dead"] == 2)
        until(lambda: broker.depth() == 0)
    assert sorted(reason for _, reason in broker.dead()) == ["JSON nested too deeply", "no JSON"]


def test_what_is_too_large_goes_to_the_dead_letter_queue(rabbit: Rabbit) -> None:
    prepared(rabbit).push(b" " * (LONGEST_MESSAGE + 1))
    with consuming(rabbit, MemoryBucket(), MemoryLedger()) as tally:
        until(lambda: tally["dead"] == 1)
    assert [(len(body), reason) for body, reason in rabbit.dead()] == [(LONGEST_MESSAGE + 1, "larger than 1 MB")]


@pytest.mark.parametrize("arguments", [{}, {"x-queue-type": "quorum", "x-delivery-limit": 3}])
def test_a_queue_that_the_site_made_is_taken_as_it_is(rabbit: Rabbit, arguments: dict[str, Any]) -> None:
    from kombu import Connection

    with Connection(rabbit.url) as connection:
        channel = connection.channel()
        channel.queue_declare(rabbit.queue, durable=True, auto_delete=False, arguments=arguments)
    rabbit.push(message("a"))
    ledger = MemoryLedger()
    with consuming(rabbit, MemoryBucket({"a"}), ledger):
        until(lambda: ledger.known == ["a"])


def test_a_queue_that_is_missing_is_made_durable_and_replicated(rabbit: Rabbit, rabbitmq: RabbitMQ) -> None:
    prepared(rabbit)
    told = rabbitmq.control("list_queues", "-p", "nightread", "name", "type", "durable", "--silent").splitlines()
    assert f"{rabbit.queue}\tquorum\ttrue" in told
    assert f"{rabbit.queue}.dead\tquorum\ttrue" in told


def test_a_broker_that_dies_loses_and_doubles_nothing(rabbit: Rabbit, rabbitmq: RabbitMQ) -> None:
    ledger, bucket = MemoryLedger(), MemoryBucket({f"k/{number}" for number in range(20)})
    ledger.away.set()
    with consuming(rabbit, bucket, ledger):
        until(lambda: _there(rabbit))
        until(lambda: _pushed(rabbit, *(message(f"k/{number}") for number in range(10))))
        until(lambda: bucket.asked)
        threading.Event().wait(5)  # a replicated queue that is killed as it is made may not come back
        rabbitmq.kill()
        ledger.away.clear()
        rabbitmq.start()
        until(lambda: _pushed(rabbit, *(message(f"k/{number}") for number in range(10, 20))), seconds=60)
        until(lambda: len(ledger.known) == 20, seconds=60)
    left = MemoryLedger()
    with consuming(rabbit, bucket, left):
        until(lambda: _pushed(rabbit, message("k/0")))
        until(lambda: left.known == ["k/0"])
