"""A real S3 endpoint for tests: Ceph's RADOS gateway on loopback, in a folder of its own."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from tests.services.service import call, free_ports, not_had, stop

PORTS = 61  # the script takes this many from its first on


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Service:
    """A running endpoint."""

    folder: Path
    environment: dict[str, str]  # the AWS_* settings to export

    @property
    def endpoint(self) -> str:
        """Its address."""
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(urlsplit(self.endpoint).port or 0)

    def client(self, **changes: Any) -> Any:
        """A client for it; `changes` replace its arguments."""
        config = Config(connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 2})
        return boto3.client("s3", **self._arguments() | {"config": config} | changes)

    def notifier(self) -> Any:
        """A client that makes topics for its notifications."""
        return boto3.client("sns", **self._arguments())

    def kill(self) -> None:
        """End the gateway at once; the objects live on in the daemon behind it."""
        call("ceph-s3", "kill", self.folder)

    def start(self) -> None:
        """Start the gateway again."""
        call("ceph-s3", "resume", self.folder)

    def _arguments(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": self.environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.environment["AWS_SECRET_ACCESS_KEY"],
            "region_name": self.environment["AWS_DEFAULT_REGION"],
        }


@contextmanager
def running_s3(address: str = "") -> Iterator[S3Service]:
    """An endpoint of its own. A system where it cannot be had skips, CI does not."""
    folder = Path(tempfile.mkdtemp(prefix="nightread-s3-"))
    try:
        try:
            told = call("ceph-s3", "start", folder, free_ports(PORTS), *([address] if address else []))
        except (OSError, subprocess.SubprocessError) as error:
            not_had("an S3 endpoint", error)
        lines = (line.removeprefix("export ").partition("=") for line in told.splitlines())
        yield S3Service(folder=folder, environment={name: value for name, parted, value in lines if parted})
    finally:
        stop("ceph-s3", folder)


@pytest.fixture(scope="session")
def s3_service() -> Iterator[S3Service]:
    """The session's endpoint; whoever kills it starts it again."""
    with running_s3() as service:
        yield service
