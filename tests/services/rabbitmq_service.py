"""A real RabbitMQ node for a session of tests; it may be killed and started again at will."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.services.ports import free_ports

SCRIPT = Path(__file__).parent / "rabbitmq"
PORTS = 3  # the script takes this many from its first on


@dataclass(frozen=True, kw_only=True, slots=True)
class RabbitMQ:
    """A node with the vhost and user `nightread`."""

    folder: Path
    url: str
    settings: tuple[str, ...] = ()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(urlsplit(self.url).port or 0)

    @property
    def guest_url(self) -> str:
        """The same vhost for the user that needs no password in an S3 gateway's settings."""
        return f"amqp://127.0.0.1:{self.port}/nightread"

    def kill(self) -> None:
        """End it as a power cut would: no message is flushed, no client is told."""
        call("kill", self.folder)

    def start(self) -> None:
        """Start it again on the data that it left; returns when it answers."""
        call("start", self.folder, self.port, *self.settings)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` answers."""
        return call("ctl", self.folder, *arguments)


@contextmanager
def running_rabbitmq(*settings: str) -> Iterator[RabbitMQ]:
    """A node of its own; a setting is a line of rabbitmq.conf. A laptop without RabbitMQ skips, CI does not."""
    folder = Path(tempfile.mkdtemp(prefix="nightread-rabbitmq-"))
    try:
        try:
            url = call("start", folder, free_ports(PORTS), *settings)
        except subprocess.SubprocessError as error:
            told = f"RabbitMQ cannot be had here: {getattr(error, 'stderr', error)}"
            pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
        yield RabbitMQ(folder=folder, url=url, settings=settings)
    finally:
        call("stop", folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """The session's node; whoever kills it starts it again."""
    with running_rabbitmq() as node:
        yield node


def call(verb: str, folder: Path, *arguments: object) -> str:
    """Run the script; returns what it prints."""
    command = [str(SCRIPT), verb, str(folder), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()
