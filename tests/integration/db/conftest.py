"""A real PostgreSQL for the ledger's tests: one server, and one database that is emptied."""

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Engine, text

from db import schema
from db.base import Base
from db.engine import open_engine, writing
from tests.conformance.ledger_world import World, make_world
from tests.services.postgres_service import create_database

NUMBERS = count(1)


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
