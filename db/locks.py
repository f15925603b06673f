"""One run at a time: a lock for the whole database that ends with its process, however that ends.

PostgreSQL: an advisory lock of a session of its own. SQLite: a lock on the file `<database>.lock`, which holds who
has it. The lock keeps two local runs from sharing leases; leases alone keep work from being done twice.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Connection, Engine, text

from db.engine import sqlite_file
from db.errors import DatabaseMisconfigured, RunInProgress, translated


def advisory_key(name: str) -> int:
    """PostgreSQL's number for a lock of ours; its advisory locks are each database's own."""
    return int.from_bytes(sha256(f"nightread {name}".encode()).digest()[:8], signed=True)


MIGRATION_KEY = advisory_key("migration")
RUN_KEY = advisory_key("run")

_held_files: set[int] = set()


def _let_go_in_child() -> None:
    """A forked child shares the file lock: it would keep it after our death if it kept the file."""
    for handle in _held_files:
        os.close(handle)
    _held_files.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def run_lock(engine: Engine, name: str) -> Iterator[None]:
    """Hold the database for one run; `name` tells others what holds it.

    Raises:
        RunInProgress: Another run holds it; the message names it.
    """
    holder = f"{name} (process {os.getpid()} on {socket.gethostname()})"
    file = sqlite_file(engine)
    with _file_lock(file, holder) if file is not None else _session_lock(engine, holder):
        yield


@contextmanager
def _file_lock(database: Path, holder: str) -> Iterator[None]:
    path = database.with_name(database.name + ".lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DatabaseMisconfigured(f"lock file {str(path)!r} cannot be opened: {error.strerror}") from error
    try:
        _take_file(handle, path, holder)
        _held_files.add(handle)
        try:
            yield
        finally:
            _held_files.discard(handle)
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _take_file(handle: int, path: Path, holder: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _refuse(str(path), os.pread(handle, 1000, 0).decode("utf-8", "replace").strip())
    os.ftruncate(handle, 0)
    os.pwrite(handle, holder.encode("utf-8", "backslashreplace"), 0)


@contextmanager
def _session_lock(engine: Engine, holder: str) -> Iterator[None]:
    with translated(engine.url):
        connection = engine.connect()
    try:
        with translated(engine.url):
            connection.execution_options(isolation_level="AUTOCOMMIT")
            _take_session(connection, holder)
        yield
    finally:
        connection.invalidate()  # the session ends, and its lock and name with it
        connection.close()


def _take_session(connection: Connection, holder: str) -> None:
    connection.execute(
        text("SELECT set_config('application_name', :holder, false)"), {"holder": f"nightread {holder}"[:63]}
    )
    if connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": RUN_KEY}).scalar_one():
        return
    other = connection.execute(_HOLDER, {"high": RUN_KEY >> 32 & 0xFFFFFFFF, "low": RUN_KEY & 0xFFFFFFFF}).scalar()
    _refuse(str(connection.engine.url.database), (other or "").removeprefix("nightread "))


_HOLDER = text(
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = CAST(CAST(:high AS bigint) AS oid)"
    " AND l.objid = CAST(CAST(:low AS bigint) AS oid)"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def _refuse(what: str, holder: str) -> NoReturn:
    raise RunInProgress(
        f"another run holds {what!r}: {holder or 'its holder is not known'}; wait for it to end, or stop it first"
    )
