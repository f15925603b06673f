"""SQLite for the ledger's tests: one engine, and for each test a fresh copy of a file with the schema."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pytest
from sqlalchemy import Engine, event

from db import schema
from db.engine import open_engine, sqlite_file
from tests.conformance.ledger_world import World, make_world


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema and nothing else."""
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    engine = open_engine(f"sqlite:///{path}")
    schema.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that the tests take turns with: it compiles each statement once, which is what takes the time."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('shared') / 'ledger.db'}")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    yield engine
    engine.dispose()


@pytest.fixture
def engine(shared_engine: Engine, template: Path) -> Iterator[Engine]:
    """A database with the schema and nothing else."""
    file = sqlite_file(shared_engine)
    assert file is not None
    for rest in file.parent.iterdir():
        rest.rmdir() if rest.is_dir() else rest.unlink()
    copyfile(template, file)
    yield shared_engine
    shared_engine.dispose()


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """The URL of a database without any table."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture
def spare_engine(engine: Engine) -> Engine:
    """A database at the newest schema whose tables the test may spoil."""
    return engine


@pytest.fixture
def world(engine: Engine) -> World:
    """A ledger with a model and a run."""
    return make_world(engine)
