"""A real PostgreSQL server for a session of tests, and new databases in it."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from db.engine import open_engine
from tests.services.service import call, free_ports, not_had, stop


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgreSQL:
    """A running server."""

    folder: Path
    url: str
    port: int
    address: str = ""  # another one to listen on than loopback

    def kill(self) -> None:
        """End the server and its children at once."""
        call("postgres", "kill", self.folder)

    def start(self) -> None:
        """Start it again on its data."""
        call("postgres", "start", self.folder, self.port, *([self.address] if self.address else []))


@contextmanager
def running_postgres(address: str = "") -> Iterator[PostgreSQL]:
    """A server of its own. A laptop without PostgreSQL skips, CI does not."""
    folder = Path(tempfile.mkdtemp(prefix="nightread-postgres-"))
    port = free_ports()
    url = f"postgresql://nightread:nightread@127.0.0.1:{port}/postgres"
    server = PostgreSQL(folder=folder, url=url, port=port, address=address)
    try:
        try:
            server.start()
        except subprocess.SubprocessError as error:
            not_had("PostgreSQL", error)
        yield server
    finally:
        stop("postgres", folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    """The session's server; whoever kills it starts it again."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def server(postgres: PostgreSQL) -> str:
    """The URL of the session's server."""
    return postgres.url


def create_database(server: str, name: str) -> str:
    """The URL of a new, empty database."""
    engine = open_engine(server)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)
