"""A real S3 endpoint for tests: Ceph's RADOS gateway on loopback, started once a session in a folder of its own.

Where it cannot be had (another system, no right to install), tests that need it are skipped; in CI they fail, so
that nothing is proven by not being run.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.services.ports import free_ports

SCRIPT = Path(__file__).parent / "ceph-s3"
SECONDS = 300  # the first start may have to install packages
PORTS = 61  # the script takes this many from its first on


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Service:
    """A running endpoint."""

    environment: dict[str, str]  # the AWS_* settings to export

    @property
    def endpoint(self) -> str:
        """Its address."""
        return self.environment["AWS_ENDPOINT_URL"]

    def client(self, **changes: Any) -> Any:
        """A client for it; `changes` replace its arguments."""
        arguments: dict[str, Any] = {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": self.environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.environment["AWS_SECRET_ACCESS_KEY"],
            "region_name": self.environment["AWS_DEFAULT_REGION"],
            "config": Config(connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 2}),
            **changes,
        }
        return boto3.client("s3", **arguments)


@pytest.fixture(scope="session")
def s3_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """The endpoint, for as long as the session lasts."""
    folder = tmp_path_factory.mktemp("s3")
    command = ["bash", str(SCRIPT), "start", str(folder), str(free_ports(PORTS))]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        _stop(folder)
        detail = getattr(error, "stderr", "") or str(error)
        if os.environ.get("CI") == "true":
            pytest.fail(f"no S3 endpoint could be started: {detail[-500:]}")
        pytest.skip(f"no S3 endpoint could be started: {detail[-200:]}")
    try:
        lines = (line.removeprefix("export ").partition("=") for line in done.stdout.splitlines())
        yield S3Service(environment={name: value for name, parted, value in lines if parted})
    finally:
        _stop(folder)


def _stop(folder: Path) -> None:
    subprocess.run(["bash", str(SCRIPT), "stop", str(folder)], check=False, capture_output=True, timeout=60)
    shutil.rmtree(folder, ignore_errors=True)
