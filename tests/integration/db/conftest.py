"""A real PostgreSQL for the ledger's tests: one server, and one database that is emptied."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from db import schema
from db.base import Base
from db.engine import open_engine, writing
from tests.conformance.ledger_world import World, make_world

SERVICE = Path(__file__).parents[2] / "services" / "postgres"
NUMBERS = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server; a laptop without PostgreSQL skips, CI does not."""
    folder = Path(tempfile.mkdtemp(prefix="nightread-postgres-"))
    started = subprocess.run(
        [SERVICE, "start", folder, str(free_port())], capture_output=True, text=True, check=False, timeout=300
    )
    try:
        if started.returncode:
            told = f"PostgreSQL cannot be had here: {started.stderr.strip()}"
            pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
        yield started.stdout.strip()
    finally:
        subprocess.run([SERVICE, "stop", folder], capture_output=True, check=False, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_engine(server: str) -> Iterator[Engine]:
    """A database at the newest schema that the tests take turns with: a truncation costs less than a database."""
    engine = open_engine(create_database(server, "shared"))
    schema.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    """A database with the schema and nothing else."""
    with writing(shared_engine) as connection:
        connection.execute(text(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY"))
    return shared_engine


@pytest.fixture
def empty_url(server: str) -> str:
    """The URL of a database without any table."""
    return create_database(server, f"empty_{next(NUMBERS)}")


@pytest.fixture
def spare_engine(empty_url: str) -> Iterator[Engine]:
    """A database at the newest schema whose tables the test may spoil."""
    engine = open_engine(empty_url)
    schema.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    """A ledger with a model and a run."""
    return make_world(engine)


def create_database(server: str, name: str) -> str:
    """The URL of a new, empty database."""
    engine = open_engine(server)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
