"""Who works: each process of the fleet tells of itself every few seconds, and is gone when it stops telling.

Works inside the caller's transaction. Nobody's work depends on these rows: leases decide who holds what.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from db.base import UtcIn, UtcNow
from db.fleet_tables import Worker
from db.leases import upsert

GONE_SECONDS = 60.0  # not heard of for so long: gone
PRUNE_SECONDS = 86_400.0  # a row is kept for a day, for whoever asks what became of a machine


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSeen:
    """A process as it last told of itself."""

    name: str  # kind:host:pid
    kind: str
    started_at: datetime
    seen_at: datetime
    seen_seconds: float  # since then, by the database's clock
    settled: int  # objects, studies or events since it started
    detail: dict[str, Any]  # device, model, what it does now


def tell(
    connection: Connection, *, name: str, kind: str, age_seconds: float, settled: int, detail: Mapping[str, Any]
) -> None:
    """Say that a process which started so long ago is alive."""
    row = {
        "name": name,
        "kind": kind,
        "started_at": UtcIn(-age_seconds),
        "seen_at": UtcNow(),
        "settled": settled,
        "detail": dict(detail),
    }
    insert = upsert(connection, Worker).values(row)
    renewed = {column: insert.excluded[column] for column in row if column != "name"}
    connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=renewed))


def forget(connection: Connection, name: str) -> None:
    """Drop a process that ended well."""
    connection.execute(delete(Worker).where(Worker.name == name))


def prune(connection: Connection, *, older_seconds: float = PRUNE_SECONDS) -> int:
    """Drop the rows of processes that ended long ago without a word; how many."""
    return connection.execute(delete(Worker).where(Worker.seen_at < UtcIn(-older_seconds))).rowcount


def seen(connection: Connection, *, within_seconds: float = GONE_SECONDS) -> tuple[WorkerSeen, ...]:
    """The processes heard of within this time, by kind and name."""
    rows = connection.execute(
        select(Worker.__table__, UtcNow().label("now"))
        .where(Worker.seen_at >= UtcIn(-within_seconds))
        .order_by(Worker.kind, Worker.name)
    )
    return tuple(
        WorkerSeen(
            name=row.name,
            kind=row.kind,
            started_at=row.started_at,
            seen_at=row.seen_at,
            seen_seconds=max(0.0, (row.now - row.seen_at).total_seconds()),
            settled=row.settled,
            detail=row.detail,
        )
        for row in rows
    )
