"""A real PostgreSQL server for a session of tests, and new databases in it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from db.engine import open_engine
from tests.services.ports import free_ports

SERVICE = Path(__file__).parent / "postgres"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server; a laptop without PostgreSQL skips, CI does not."""
    folder = Path(tempfile.mkdtemp(prefix="nightread-postgres-"))
    started = subprocess.run(
        [SERVICE, "start", folder, str(free_ports())], capture_output=True, text=True, check=False, timeout=300
    )
    try:
        if started.returncode:
            told = f"PostgreSQL cannot be had here: {started.stderr.strip()}"
            pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
        yield started.stdout.strip()
    finally:
        subprocess.run([SERVICE, "stop", folder], capture_output=True, check=False, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def create_database(server: str, name: str) -> str:
    """The URL of a new, empty database."""
    engine = open_engine(server)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)
