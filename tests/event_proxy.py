"""Stands between the bucket's events and the fleet, and loses some, doubles some, shuffles all."""

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from kombu import Connection, Consumer, Message, Queue

from tests.site import EXCHANGE, TOPIC

HELD_SECONDS = 1.0  # so long they are gathered before they go on, in no order


@dataclass(kw_only=True)
class EventProxy:
    """Takes from a queue of its own, gives to the fleet's."""

    url: str
    target: str
    seed: int
    lost_share: float = 0.3
    doubled_share: float = 0.3
    counts: Counter[str] = field(default_factory=Counter)  # taken, lost, doubled
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `stopped`."""
        choice = random.Random(self.seed)
        with Connection(self.url) as connection, connection.channel() as channel:
            raw = Queue(f"{self.target}-raw", EXCHANGE, routing_key=TOPIC, auto_delete=True)
            gathered: list[bytes] = []
            with Consumer(channel, [raw], on_message=lambda message: self._take(message, choice, gathered)):
                while not self.stopped.is_set():
                    self._gather(connection)
                    choice.shuffle(gathered)
                    for body in gathered:
                        connection.Producer().publish(body, routing_key=self.target, serializer="raw")
                    gathered.clear()

    def _gather(self, connection: Connection) -> None:
        until = time.monotonic() + HELD_SECONDS
        with suppress(socket.timeout):
            while (left := until - time.monotonic()) > 0:
                connection.drain_events(timeout=left)

    def _take(self, message: Message, choice: random.Random, gathered: list[bytes]) -> None:
        body = bytes(message.body) if isinstance(message.body, bytes) else str(message.body).encode()
        self.counts["taken"] += 1
        drawn = choice.random()
        copies = 0 if drawn < self.lost_share else 2 if drawn < self.lost_share + self.doubled_share else 1
        self.counts[("lost", "passed", "doubled")[copies]] += 1
        gathered += [body] * copies
        message.ack()


@contextmanager
def running_proxy(url: str, target: str, seed: int) -> Iterator[EventProxy]:
    """A proxy in a thread of its own; the raw queue is bound when this gives it."""
    proxy = EventProxy(url=url, target=target, seed=seed)
    with Connection(url) as connection:
        Queue(f"{target}-raw", EXCHANGE, routing_key=TOPIC, auto_delete=True)(connection.channel()).declare()
    thread = threading.Thread(target=proxy.run)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stopped.set()
        thread.join()
