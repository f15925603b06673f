"""SQLite for the ledger's tests: the schema is made once, each test gets a copy of the file."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pytest
from sqlalchemy import Engine

from db import schema
from db.engine import open_engine
from tests.conformance.ledger_world import World, make_world


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema and nothing else."""
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    engine = open_engine(f"sqlite:///{path}")
    schema.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def engine(template: Path, tmp_path: Path) -> Iterator[Engine]:
    """A database of the test's own, at the newest schema."""
    path = tmp_path / "ledger.db"
    copyfile(template, path)
    engine = open_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


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
