"""The conditions that a database can be in, each one line for a person: what, the value, what to do.

DatabaseError              what the database layer raises; nothing else crosses its boundary
├── DatabaseUnavailable    the server does not answer                             retry later
├── DatabaseLocked         others hold what we need                               retry later
├── DatabaseFull           no room on the disk                                    retry later
├── DatabaseMisconfigured  address, user, password, name, rights                  someone must act
├── DatabaseDamaged        not a database, or a broken one                        someone must act
├── SchemaMismatch         the tables are older or newer than this program        someone must act
├── RunInProgress          another run holds this database                        someone must wait
├── ModelConflict          one model version, two different sets of weights       someone must act
├── ChampionChanged        a version was judged against another champion          judge it again
├── SettingConflict        the database is bound to another value                 someone must act
├── ProvenanceMissing      a result that cannot name its inputs is refused        our fault
└── DatabaseFault          the statement itself was wrong                         our fault

The driver's words are quoted by their first line only, and never with the statement's parameters: they may be a
patient's. No message holds a password.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class DatabaseError(Exception):
    """The base of every condition of the database layer."""

    retryable: ClassVar[bool] = False  # may the same call succeed later by itself?


class DatabaseUnavailable(DatabaseError):
    """The server did not answer, or went away."""

    retryable = True


class DatabaseLocked(DatabaseError):
    """Another process held the rows or the file for too long."""

    retryable = True


class DatabaseFull(DatabaseError):
    """The database has no room to write."""

    retryable = True


class DatabaseMisconfigured(DatabaseError):
    """The address, user, password, database name or rights are not right."""


class DatabaseDamaged(DatabaseError):
    """The file is no database, or a broken one."""


class SchemaMismatch(DatabaseError):
    """The tables are not those that this version of the program works with."""


class RunInProgress(DatabaseError):
    """Another run works on this database."""


class ModelConflict(DatabaseError):
    """A model version is known with other files than these."""


class ChampionChanged(DatabaseError):
    """The champion is no longer the version that a candidate was judged against."""


class SettingConflict(DatabaseError):
    """The database was bound to another value of a setting."""


class ProvenanceMissing(DatabaseError):
    """A result was handed in that does not name the bytes it comes from."""


class DatabaseFault(DatabaseError):
    """A statement was refused for a reason that only a change of the program can mend."""


_Rule = tuple[str, type[DatabaseError], str]

# What SQLite says, in the order in which it is looked for.
_SQLITE: tuple[_Rule, ...] = (
    ("locked", DatabaseLocked, "is locked by another process; let that one finish, then try again"),
    ("disk is full", DatabaseFull, "cannot grow: the disk is full; make room, then start again"),
    ("readonly database", DatabaseMisconfigured, "is read-only; give this user write access to file and folder"),
    ("unable to open", DatabaseMisconfigured, "cannot be opened; check that it is a file in a writable folder"),
    ("not a database", DatabaseDamaged, "is not a SQLite database; name another file"),
    ("malformed", DatabaseDamaged, "is damaged; restore it from a backup"),
    ("disk i/o error", DatabaseUnavailable, "cannot be read or written (disk I/O error); check the disk"),
    ("no such table", SchemaMismatch, "lacks tables; run `nightread db upgrade`"),
    ("no such column", SchemaMismatch, "lacks columns; run `nightread db upgrade`"),
)

# What PostgreSQL says: SQLSTATE first where there is one, else words of the message.
_POSTGRESQL: tuple[_Rule, ...] = (
    ("28P01", DatabaseMisconfigured, "refused the password; check user and password in the URL"),
    ("28000", DatabaseMisconfigured, "refused the user; check the user in the URL and the server's pg_hba.conf"),
    ("3D000", DatabaseMisconfigured, "has no database of this name; create it or correct the URL"),
    ("53100", DatabaseFull, "has a full disk; make room on the server, then start again"),
    ("53300", DatabaseUnavailable, "has no connection left; raise max_connections or run fewer workers"),
    ("42501", DatabaseMisconfigured, "denies this user access; grant it the rights on Nightread's tables"),
    ("25006", DatabaseMisconfigured, "is read-only; name the primary server in the URL"),
    ("42P01", SchemaMismatch, "lacks tables; run `nightread db upgrade`"),
    ("42703", SchemaMismatch, "lacks columns; run `nightread db upgrade`"),
    ("40001", DatabaseLocked, "could not order two transactions; try again"),
    ("40P01", DatabaseLocked, "broke a deadlock; try again"),
    ("55P03", DatabaseLocked, "is locked by another session; let that one finish, then try again"),
    ("57014", DatabaseLocked, "cancelled a statement that took too long; try again"),
    ("57P", DatabaseUnavailable, "is starting or stopping; wait for it, then try again"),
    ("08", DatabaseUnavailable, "lost the connection; check that the server runs and can be reached"),
    ("password authentication", DatabaseMisconfigured, "refused the password; check user and password in the URL"),
    ("no password supplied", DatabaseMisconfigured, "refused the password; check user and password in the URL"),
    ("no pg_hba.conf entry", DatabaseMisconfigured, "refuses this user from here; add a line to its pg_hba.conf"),
    ('role "', DatabaseMisconfigured, "does not know the user; check the user in the URL"),
    ("does not exist", DatabaseMisconfigured, "has no database of this name; create it or correct the URL"),
    (
        "too many clients",
        DatabaseUnavailable,
        "has no connection left; raise max_connections or run fewer workers",
    ),
    ("starting up", DatabaseUnavailable, "is starting or stopping; wait for it, then try again"),
    ("shutting down", DatabaseUnavailable, "is starting or stopping; wait for it, then try again"),
    (
        "certificate",
        DatabaseMisconfigured,
        "and we do not trust each other; check sslmode and sslrootcert in the URL",
    ),
    ("not support ssl", DatabaseMisconfigured, "speaks no TLS; drop sslmode from the URL if that is meant"),
    ("resolve host", DatabaseUnavailable, "has a host name that cannot be resolved; check the host in the URL"),
    ("translate host", DatabaseUnavailable, "has a host name that cannot be resolved; check the host in the URL"),
    ("connect", DatabaseUnavailable, "does not answer; check that the server runs, and host and port in the URL"),
)


def shown(url: URL) -> str:
    """A database's address as a person may read it: without the driver's name and the password."""
    return repr(url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True))


def translate(error: SQLAlchemyError, url: URL | None = None) -> DatabaseError:
    """The one line that a person needs, from whatever the driver raised."""
    where = f"database {shown(url)}" if url is not None else "the database"
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable(f"{where} has no free connection in this process; run fewer threads")
    if not isinstance(error, DBAPIError) or error.orig is None:
        return DatabaseFault(f"{where}: {_first_line(error)}")
    said = str(error.orig)
    state = getattr(error.orig, "sqlstate", None)
    found = _find(_SQLITE, said) if type(error.orig).__module__ == "sqlite3" else _find(_POSTGRESQL, said, state)
    if found is None and error.connection_invalidated:
        found = ("", DatabaseUnavailable, "lost the connection; check that the server runs and can be reached")
    if found is None:
        return DatabaseFault(f"{where} refused a statement: {_first_line(error.orig)}")
    _, condition, remedy = found
    return condition(f"{where} {remedy}")


@contextmanager
def translated(url: URL | None) -> Iterator[None]:
    """Let only conditions of this module out, each with its cause."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error, url) from error


def _find(rules: tuple[_Rule, ...], said: str, state: str | None = None) -> _Rule | None:
    lowered = said.lower()
    for rule in rules:
        mark = rule[0]
        if mark[0].isdigit():
            if state is not None and state.startswith(mark):
                return rule
        elif state is None and mark in lowered:
            return rule
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
