"""What the tests' services share: a script that starts and ends each, in a folder and on ports of its own."""

import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

FOLDER = Path(__file__).parent
SECONDS = 300  # the first start may have to install packages


class Service(Protocol):
    """A service that tests may kill and start again; what it had stored durably is there again."""

    def kill(self) -> None:
        """End all its processes at once, by kill -9."""

    def start(self) -> None:
        """Start it again; returns when it answers."""


def call(script: str, verb: str, folder: Path, *arguments: object) -> str:
    """Run a service's script; returns what it prints.

    Raises:
        subprocess.SubprocessError: with what it said.
    """
    command = ["bash", str(FOLDER / script), verb, str(folder), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    return done.stdout.strip()


def stop(script: str, folder: Path) -> None:
    """End a service, however much of it runs, and remove its folder."""
    with suppress(subprocess.SubprocessError):
        call(script, "stop", folder)
    shutil.rmtree(folder, ignore_errors=True)


def not_had(name: str, error: Exception) -> NoReturn:
    """A laptop without a service skips; CI does not, so that nothing is proven by not being run."""
    told = f"{name} cannot be had here: {(getattr(error, 'stderr', '') or str(error)).strip()[-500:]}"
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)


def free_ports(count: int = 1) -> int:
    """A port that nobody listens on just now and that leaves room for `count` of them from it on."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 65536 - count:
            return port
