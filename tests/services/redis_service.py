"""A real Redis server for a session of tests."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.services.service import free_ports, not_had


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Where the server answers. A laptop without Redis skips, CI does not."""
    port, folder = free_ports(), Path(tempfile.mkdtemp(prefix="nightread-redis-"))
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    try:
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    except OSError as error:
        not_had("Redis", error)
    try:
        client = Redis(port=port)
        for _ in range(100):
            with suppress(RedisError):
                if client.ping():
                    break
            with suppress(subprocess.TimeoutExpired):
                server.wait(0.1)
        client.close()
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)
