"""A real RabbitMQ node for a session of tests; it may be killed and started again at will."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services.service import call, free_ports, not_had, stop

PORTS = 3  # the script takes this many from its first on


@dataclass(frozen=True, kw_only=True, slots=True)
class RabbitMQ:
    """A node with the vhost and user `nightread`."""

    folder: Path
    port: int
    settings: tuple[str, ...] = ()  # lines of rabbitmq.conf

    @property
    def url(self) -> str:
        """Where the fleet reaches it."""
        return f"amqp://nightread:nightread@127.0.0.1:{self.port}/nightread"

    @property
    def guest_url(self) -> str:
        """The same vhost for the user that needs no password in an S3 gateway's settings."""
        return f"amqp://127.0.0.1:{self.port}/nightread"

    def kill(self) -> None:
        """End it at once: no client is told, nothing is written down that was not."""
        call("rabbitmq", "kill", self.folder)

    def start(self) -> None:
        """Start it again on the data that it left."""
        call("rabbitmq", "start", self.folder, self.port, *self.settings)

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` answers."""
        return call("rabbitmq", "ctl", self.folder, *arguments)


@contextmanager
def running_rabbitmq(*settings: str, address: str = "") -> Iterator[RabbitMQ]:
    """A node of its own; a setting is a line of rabbitmq.conf. A laptop without RabbitMQ skips, CI does not."""
    folder = Path(tempfile.mkdtemp(prefix="nightread-rabbitmq-"))
    port = free_ports(PORTS)
    if address:
        settings = (f"listeners.tcp.2={address}:{port}", *settings)
    node = RabbitMQ(folder=folder, port=port, settings=settings)
    try:
        try:
            node.start()
        except subprocess.SubprocessError as error:
            not_had("RabbitMQ", error)
        yield node
    finally:
        stop("rabbitmq", folder)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """The session's node; whoever kills it starts it again."""
    with running_rabbitmq() as node:
        yield node
