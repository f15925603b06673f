"""The ground the tables stand on: the declarative base, portable column types and the database's own clock.

Assumes SQLite 3.35 or newer, or PostgreSQL. Times are written and compared in UTC, and "now" is always the
database server's: the hosts of a fleet disagree, and a lease is only as good as the one clock behind it.
Knows no table.
"""

from datetime import UTC, date, datetime
from typing import Any, ClassVar, TypeAlias

from sqlalchemy import JSON, BigInteger, ColumnElement, Date, DateTime, Double, Integer, MetaData, Text, literal
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeDecorator

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

BigId = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up only a column typed INTEGER


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite keeps it as text whose order is the order in time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: nobody can tell which clock they were read from."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without its zone: {value!r}")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back aware UTC, whatever zone the session is set to."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def plain(value: str) -> str:
    """The value with what PostgreSQL or UTF-8 cannot hold as visible escapes; most values are themselves."""
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


class PlainText(TypeDecorator[str]):
    """Text that every engine takes.

    A header may hold a NUL byte and a file name may be no UTF-8; either would fail the whole statement, and
    with it the neighbours' rows. Such characters are stored as visible escapes instead.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Escape what PostgreSQL or UTF-8 cannot hold."""
        return None if value is None else plain(value)


Moment: TypeAlias = ColumnElement[datetime] | InstrumentedAttribute[datetime]


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigId,
        float: Double(),
        str: PlainText(),
        date: Date(),
        datetime: UTCDateTime(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


class UtcNow(FunctionElement[datetime]):
    """The database's clock, the same within one statement."""

    type = UTCDateTime()
    inherit_cache = True


class UtcIn(FunctionElement[datetime]):
    """So many seconds from `base`, by default the database's clock; negative seconds are in the past."""

    type = UTCDateTime()
    inherit_cache = True

    def __init__(
        self,
        seconds: float | ColumnElement[float],
        base: Moment | None = None,
    ) -> None:
        offset = literal(seconds) if isinstance(seconds, int | float) else seconds
        super().__init__(offset, UtcNow() if base is None else base)


@compiles(UtcNow, "postgresql")
def _now_postgresql(_element: UtcNow, _compiler: SQLCompiler, **_options: Any) -> str:
    return "statement_timestamp()"


@compiles(UtcNow, "sqlite")
def _now_sqlite(_element: UtcNow, _compiler: SQLCompiler, **_options: Any) -> str:
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"  # six digits, as SQLAlchemy writes them


@compiles(UtcIn, "postgresql")
def _in_postgresql(element: UtcIn, compiler: SQLCompiler, **options: Any) -> str:
    seconds, base = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({base} + make_interval(secs => CAST({seconds} AS double precision)))"


@compiles(UtcIn, "sqlite")
def _in_sqlite(element: UtcIn, compiler: SQLCompiler, **options: Any) -> str:
    seconds, base = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(strftime('%Y-%m-%d %H:%M:%f', {base}, printf('%+.3f seconds', {seconds})) || '000')"
