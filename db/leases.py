"""Claims: who works on which row until when. The same verbs for every table of work.

A claim is one statement: PostgreSQL skips rows that another claim holds, SQLite has one writer at a time. A lease
that ran out is free to anyone, and its former owner settles nothing; whoever takes it, or sweeps it, counts that a
worker was lost. All times are the database's. Knows only the columns of `tables.Leased`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute

from db.base import Base, UtcIn, UtcNow
from db.tables import Leased

LeasedTable = type[Leased]

SWEEP = 1000  # rows of one sweep


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """What a sweep found: leases that ran out, and among them work that was given up."""

    expired: int
    given_up: int


def claim(
    connection: Connection,
    table: LeasedTable,
    *columns: InstrumentedAttribute[Any],
    where: Sequence[ColumnElement[bool]] = (),
    order: Sequence[InstrumentedAttribute[Any]] = (),
    owner: str,
    limit: int,
    lease_seconds: float,
) -> list[Any]:
    """Lease up to `limit` rows that are due and free; gives `columns`, the first being the id.

    Those that failed least come first, then by `order` or the oldest: work that fails again and again never bars
    the way.
    """
    due = (
        free_rows(table)
        .where(*where)
        .order_by(table.attempts, *order, table.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
        .cte("due")  # a CTE with a lock runs once; a plain subquery may run again and claim more
    )
    taken = (
        update(table)
        .where(table.id.in_(select(due.c.id)))
        .values(lease_owner=owner, lease_until=UtcIn(lease_seconds), crashes=_crashes(table))
        .returning(*columns)
    )
    return sorted(connection.execute(taken).all(), key=lambda row: int(row[0]))


def sweep(connection: Connection, table: LeasedTable, *, most: int) -> Swept:
    """Free the rows whose lease ran out; work under which `most` workers were lost is given up."""
    expired = (
        select(table.id, table.crashes)
        .where(table.state == literal_column(f"'{table.open_state}'"), table.lease_until <= UtcNow())
        .order_by(table.id)
        .limit(SWEEP)
        .with_for_update(skip_locked=True, key_share=True)
    )
    rows = connection.execute(expired).all()
    if not rows:
        return Swept(expired=0, given_up=0)
    dead = [row.id for row in rows if row.crashes + 1 >= most]
    freed = update(table).where(table.id.in_([row.id for row in rows]))
    connection.execute(freed.values(lease_owner=None, lease_until=None, crashes=table.crashes + 1))
    reason = f"{most} workers in succession were lost while they had it in hand; see their logs, then retry"
    settle(connection, table, [(row_id, "failed", reason) for row_id in dead])
    return Swept(expired=len(rows), given_up=len(dead))


def _crashes(table: LeasedTable) -> ColumnElement[int]:
    return case((table.lease_owner.is_(None), table.crashes), else_=table.crashes + 1)


def held(
    connection: Connection,
    table: LeasedTable,
    *columns: InstrumentedAttribute[Any],
    ids: Sequence[int],
    owner: str,
) -> list[Any]:
    """Lock those of `ids` that `owner` still has and has not settled; each row is `columns` and the time now."""
    mine = (
        select(*columns, UtcNow().label("now"))
        .where(
            table.id.in_(ids),
            table.state == literal_column(f"'{table.open_state}'"),
            table.lease_owner == owner,
        )
        .order_by(table.id)
        .with_for_update(key_share=True)
    )
    return list(connection.execute(mine).all())


def renew(
    connection: Connection, table: LeasedTable, ids: Sequence[int], *, owner: str, lease_seconds: float
) -> int:
    """Hold those of `ids` that `owner` still has for longer; how many."""
    longer = update(table).where(
        table.id.in_(ids), table.state == literal_column(f"'{table.open_state}'"), table.lease_owner == owner
    )
    return connection.execute(longer.values(lease_until=UtcIn(lease_seconds))).rowcount


def free_rows(table: LeasedTable) -> Select[Any]:
    """The ids of rows that a claim would find now."""
    return select(table.id).where(
        table.state == literal_column(f"'{table.open_state}'"),  # a literal: a partial index answers
        table.next_attempt_at <= UtcNow(),
        or_(table.lease_until.is_(None), table.lease_until <= UtcNow()),
    )


def settle(
    connection: Connection, table: LeasedTable, outcomes: Sequence[tuple[int, str, str]], **also: Any
) -> None:
    """Close rows: (id, state, reason); `also` sets further columns."""
    if not outcomes:
        return
    closed = (
        update(table)
        .where(table.id == bindparam("row_id"))
        .values(
            state=bindparam("new_state"),
            reason=bindparam("new_reason"),
            lease_owner=None,
            lease_until=None,
            settled_at=UtcNow(),
            **also,
        )
    )
    connection.execute(
        closed,
        [{"row_id": row_id, "new_state": state, "new_reason": reason} for row_id, state, reason in outcomes],
    )


def defer(connection: Connection, table: LeasedTable, outcomes: Sequence[tuple[int, float, str]]) -> None:
    """Put rows back for later: (id, seconds until then, reason). Counts a failed attempt."""
    if not outcomes:
        return
    deferred = (
        update(table)
        .where(table.id == bindparam("row_id"))
        .values(
            reason=bindparam("new_reason"),
            attempts=table.attempts + 1,
            next_attempt_at=UtcIn(bindparam("wait")),
            lease_owner=None,
            lease_until=None,
        )
    )
    connection.execute(
        deferred,
        [{"row_id": row_id, "wait": seconds, "new_reason": reason} for row_id, seconds, reason in outcomes],
    )


def free(connection: Connection, table: LeasedTable, owner_prefix: str) -> int:
    """End the leases of owners whose name starts so; counts no attempt."""
    freed = (
        update(table)
        .where(
            table.state == literal_column(f"'{table.open_state}'"),
            func.substr(table.lease_owner, 1, len(owner_prefix)) == owner_prefix,
        )
        .values(lease_owner=None, lease_until=None)
    )
    return connection.execute(freed).rowcount


def hasten(connection: Connection, table: LeasedTable) -> int:
    """Deferred rows are due now."""
    due = (
        update(table)
        .where(table.state == literal_column(f"'{table.open_state}'"), table.next_attempt_at > UtcNow())
        .values(next_attempt_at=UtcNow())
    )
    return connection.execute(due).rowcount


def upsert(connection: Connection, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can say ON CONFLICT, in the engine's dialect."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
