"""How a database is opened and how a transaction is had: the only place that knows the engines apart by set-up.

Takes `sqlite:///file`, `postgresql://…` or `postgres://…`; PostgreSQL is spoken to through psycopg 3. Opening
does not connect, so a server that is down is told by the first transaction. Does not know the tables.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from db.errors import DatabaseMisconfigured, shown, translated

LOCK_WAIT_SECONDS = 30.0
WAL_TRIES, WAL_PAUSE = 100, 0.05  # seconds between them
CONNECT_SECONDS = 10
# libpq: a connection over which nothing comes back for so long is broken; else a cut network would hang for hours.
_NOTICES_A_CUT = {
    "keepalives_idle": 10,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,  # milliseconds
}
_POSTGRESQL_NAMES = ("postgres", "postgresql", "postgresql+psycopg")


def open_engine(url: str, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> Engine:
    """An engine for the ledger's database.

    Raises:
        DatabaseMisconfigured: The URL is of no kind that we speak, or a SQLite file's folder does not exist.
    """
    parsed = _parse(url)
    if parsed.drivername in _POSTGRESQL_NAMES:
        return _open_postgresql(parsed.set(drivername="postgresql+psycopg"))
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, lock_wait_seconds)
    raise DatabaseMisconfigured(
        f"database {shown(parsed)} is of no kind that Nightread works with; "
        "give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
    )


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that may write; it commits when the block ends well. Raises only `db.errors`."""
    with translated(engine.url), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that only reads, and so never waits for a writer. Raises only `db.errors`."""
    with translated(engine.url), engine.connect() as connection:
        yield connection.execution_options(nightread_reads=True)


def shown_url(url: str) -> str:
    """A database's URL without its password."""
    return shown(_parse(url))


def sqlite_file(engine: Engine) -> Path | None:
    """The file behind the engine, None for a server."""
    return Path(engine.url.database or "").absolute() if engine.dialect.name == "sqlite" else None


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # the text may hold a password: it is not repeated
        raise DatabaseMisconfigured(
            "the database URL cannot be read; give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
        ) from None


def _open_postgresql(url: URL) -> Engine:
    defaults = {"connect_timeout": CONNECT_SECONDS, "application_name": "nightread"} | _NOTICES_A_CUT
    ours = {name: value for name, value in defaults.items() if name not in url.query}
    return create_engine(url, connect_args=ours, pool_pre_ping=True, hide_parameters=True)


def _open_sqlite(url: URL, lock_wait_seconds: float) -> Engine:
    if not url.database or url.database == ":memory:":
        raise DatabaseMisconfigured("a SQLite database in memory keeps nothing; give sqlite:///FILE")
    folder = Path(url.database).absolute().parent
    if not folder.is_dir():
        raise DatabaseMisconfigured(
            f"database {url.database!r} cannot be created: there is no folder {str(folder)!r}; make it first"
        )
    engine = create_engine(url, connect_args={"timeout": lock_wait_seconds}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: SqliteConnection, _entry: ConnectionPoolEntry) -> None:
    """WAL lets readers and the writer work at once. A power cut may lose the last commits, never the file's
    order; lost commits are work that is done again.
    """  # noqa: D205
    connection.isolation_level = None  # we say BEGIN ourselves
    _switch_to_wal(connection)
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):  # what is erased is gone
        connection.execute(f"PRAGMA {pragma}")


def _switch_to_wal(connection: SqliteConnection) -> None:
    """SQLite's own waiting does not cover this one switch: two that open a new file at once would fail."""
    for _ in range(WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(WAL_PAUSE)
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the file's one write lock at its start: upgrading a read lock later can only fail."""
    reads = connection.get_execution_options().get("nightread_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
