"""The schema's version: upgrade it, tell it, and hold the database to the tables that this program works with.

Runs Alembic over the migrations that are installed beside this package, from any working directory and without
an ini file. Knows what a version is, not what is in it.
"""

from collections.abc import Sequence
from importlib.resources import files
from threading import Lock
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

import db.fleet_tables
import db.report_tables  # noqa: F401
from db import analyst
from db.base import Base
from db.engine import reading, writing
from db.errors import SchemaMismatch, shown

_upgrading = Lock()  # Alembic keeps its context in module globals: one upgrade at a time in a process


def upgrade(engine: Engine) -> None:
    """Bring the schema to this program's version, whole or not at all. Two at once do it once."""
    config = _config()
    with _upgrading, writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(engine: Engine) -> str | None:
    """The version that the database has, None where it never had one."""
    with reading(engine) as connection:
        return _version(connection)


def head() -> str:
    """The version that this program works with."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None, "the migrations are not installed"
    return newest


def is_empty(engine: Engine) -> bool:
    """Whether the database has no table at all."""
    with reading(engine) as connection:
        return not inspect(connection).get_table_names()


def check(engine: Engine) -> list[str]:
    """What differs between this program's tables and the database's, a line for each; nothing when all is well."""
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [line for item in compare_metadata(context, Base.metadata) for line in _told(item)]
        return differences + analyst.missing(connection)


def require_current(engine: Engine, *, upgrade_empty: bool) -> None:
    """Return when the schema is this program's; an empty database is upgraded first if that is wanted.

    Raises:
        SchemaMismatch: It is older, newer or somebody else's; the message says what to do.
    """
    where = f"database {shown(engine.url)}"
    if is_empty(engine):  # asked first: whoever upgrades at this moment makes tables and version appear at once
        if not upgrade_empty:
            raise SchemaMismatch(f"{where} is empty; run `nightread db upgrade`")
        upgrade(engine)
    found, wanted = current(engine), head()
    if found == wanted:
        return
    if found is not None and not _is_ours(found):
        raise SchemaMismatch(
            f"{where} has schema {found!r}, newer than this program's {wanted!r}; update nightread"
        )
    if found is not None:
        raise SchemaMismatch(
            f"{where} has schema {found!r}, this program needs {wanted!r}; run `nightread db upgrade`"
        )
    raise SchemaMismatch(
        f"{where} has tables, but none of Nightread's; name another, or run `nightread db upgrade` to share it"
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _is_ours(version: str) -> bool:
    return version in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _told(item: Sequence[Any]) -> list[str]:
    """Alembic tells one difference as a tuple, and those of a column as a list of tuples."""
    if isinstance(item, list):
        return [line for part in item for line in _told(part)]
    return [" ".join(str(part) for part in item if isinstance(part, str) or hasattr(part, "name"))]
