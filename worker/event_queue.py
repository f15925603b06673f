"""The queue that a bucket's events arrive in: consumed, acknowledged, dead-lettered, and connected to for ever.

One thread holds the connection. It hands deliveries to a `Handler`, whose work is done on another thread, and
acknowledges what that one gives back: so heartbeats are kept however long the work takes. What is not settled when
the connection breaks comes again. Knows nothing of what is in a message.
"""

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from amqp.exceptions import NotFound
from kombu import Connection, Consumer, Producer, Queue
from kombu.exceptions import KombuError

from worker.event_transports import connection_errors
from worker.queues import QUORUM

PREFETCH = 1000  # messages in hand
WAIT_SECONDS = 0.05  # for a message, before a look at what is settled
TICK_SECONDS = 1.0
PUBLISH_SECONDS = 10.0
DRAIN_SECONDS = 15.0  # that a stop waits for what is being worked on
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between attempts to connect
REASON_HEADER = "x-nightread-reason"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Delivery:
    """One message in hand."""

    body: bytes | str
    message: Any  # kombu's
    epoch: int  # of the connection that it came over; no other one can acknowledge it


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """A delivery that is dealt with."""

    delivery: Delivery
    trouble: str = ""  # why it goes to the dead-letter queue, "" when it does not


class Handler(Protocol):
    """Who works on deliveries. No method blocks."""

    def take(self, delivery: Delivery) -> None:
        """Work on this one, elsewhere."""

    def settled(self) -> Iterable[Settled]:
        """What was dealt with since the last call; raises what ended the work."""

    def finish(self) -> None:
        """Begin nothing new; what is under way is finished."""

    @property
    def is_busy(self) -> bool:
        """Whether anything is still under way."""


class EventQueue:
    """The queue of this name at one broker, and its dead-letter queue."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._dead = f"{name}.dead"
        self._errors = connection_errors(connection)
        self._epoch = 0

    def run(self, handler: Handler, stop: threading.Event) -> None:
        """Consume until told to stop; a broker that is away is waited for."""
        pause = FIRST_PAUSE
        while not stop.is_set():
            connected_at = time.monotonic()
            try:
                self._consume(handler, stop)
            except (*self._errors, KombuError) as error:
                if time.monotonic() - connected_at > LONGEST_PAUSE:
                    pause = FIRST_PAUSE
                log.warning("events_connection_lost", kind=type(error).__name__, again_in=pause)
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _consume(self, handler: Handler, stop: threading.Event) -> None:
        with self._connected() as connection:
            self._declare(connection)
            self._epoch += 1
            channel = connection.channel()
            consumer = Consumer(
                channel,
                [Queue(self._name, no_declare=True)],
                on_message=lambda message: handler.take(self._delivery(message)),
                on_decode_error=lambda message, _: handler.take(self._delivery(message)),
                prefetch_count=PREFETCH,
                auto_declare=False,
            )
            with consumer:
                log.info("events_consumed", queue=self._name)
                self._attend(connection, handler, stop)
            self._wind_up(connection, handler)
            if not _is_amqp(connection):  # RabbitMQ does so itself when the channel closes
                channel.qos.restore_unacked()
                # Before the connection does: kombu drops what Redis hands to a channel that it closes last.
                channel.close()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        connection = self._connection.clone()
        try:
            connection.connect()
            yield connection
        finally:
            with suppress(*self._errors):
                connection.release()

    def _attend(self, connection: Connection, handler: Handler, stop: threading.Event) -> None:
        """Take messages, settle what is done, keep the connection alive."""
        tick_at = 0.0
        while not stop.is_set():
            with suppress(socket.timeout):
                connection.drain_events(timeout=WAIT_SECONDS)
            self._settle(connection, handler.settled())
            if time.monotonic() >= tick_at:
                connection.heartbeat_check()
                tick_at = time.monotonic() + TICK_SECONDS

    def _wind_up(self, connection: Connection, handler: Handler) -> None:
        """Acknowledge what is under way; the rest comes back when the connection closes."""
        handler.finish()
        deadline = time.monotonic() + DRAIN_SECONDS
        while handler.is_busy and time.monotonic() < deadline:
            time.sleep(WAIT_SECONDS)
            connection.heartbeat_check()
        self._settle(connection, handler.settled())

    def _delivery(self, message: Any) -> Delivery:
        return Delivery(body=message.body or b"", message=message, epoch=self._epoch)

    def _settle(self, connection: Connection, settled: Iterable[Settled]) -> None:
        for item in settled:
            if item.delivery.epoch != self._epoch:
                continue
            if item.trouble:
                self._bury(connection, item.delivery, item.trouble)
            item.delivery.message.ack()

    def _bury(self, connection: Connection, delivery: Delivery, trouble: str) -> None:
        """Publish to the dead-letter queue; raises when the broker does not confirm it."""
        log.warning("event_dead", reason=trouble, queue=self._dead)
        with connection.channel() as channel:
            _ensure(connection, self._dead, {})
            Producer(channel, auto_declare=False).publish(
                delivery.body if isinstance(delivery.body, bytes) else delivery.body.encode(),
                exchange="",
                routing_key=self._dead,
                headers={REASON_HEADER: trouble},
                content_type="application/octet-stream",
                content_encoding="binary",
                delivery_mode=2,
                **({"timeout": PUBLISH_SECONDS} if _is_amqp(connection) else {}),
            )

    def _declare(self, connection: Connection) -> None:
        """Both queues as they are; one that is missing is made."""
        _ensure(connection, self._dead, {})
        # Should a broker limit deliveries, what came too often is kept, too.
        _ensure(
            connection,
            self._name,
            {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self._dead},
        )


def _is_amqp(connection: Connection) -> bool:
    return bool(connection.transport.driver_type == "amqp")


def _ensure(connection: Connection, name: str, arguments: dict[str, Any]) -> None:
    """Make the queue, durable and replicated, if the site has not; whatever the site made is left as it is."""
    if not _is_amqp(connection):
        with connection.channel() as channel:
            channel.queue_declare(queue=name)
        return
    try:
        with connection.channel() as channel:
            channel.queue_declare(queue=name, passive=True)
    except NotFound:
        with connection.channel() as channel:
            channel.queue_declare(queue=name, durable=True, auto_delete=False, arguments=QUORUM | arguments)
