"""Queues whose work nobody claims: an operator held them, or the breaker did. Each change is audited.

Works inside the caller's transaction. A claim that runs at the same moment may still take its chunk.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from db.fleet_tables import QueuePause
from db.leases import upsert
from db.report_tables import AuditEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A queue that is held."""

    queue: str  # convert or caption
    reason: str
    actor: str
    paused_at: datetime


def pause(connection: Connection, queue: str, *, reason: str, actor: str) -> bool:
    """Hold a queue; False when it was held before, whose reason then stays."""
    held = upsert(connection, QueuePause).on_conflict_do_nothing(index_elements=["queue"])
    row = {"queue": queue, "reason": reason, "actor": actor}
    made = connection.execute(held.values(row).returning(QueuePause.queue)).all()
    if made:
        _audit(connection, actor, "pause", {"queue": queue, "reason": reason})
    return bool(made)


def resume(connection: Connection, queue: str, *, actor: str) -> bool:
    """Let a queue go; False when nobody held it."""
    let_go = connection.execute(delete(QueuePause).where(QueuePause.queue == queue)).rowcount > 0
    if let_go:
        _audit(connection, actor, "resume", {"queue": queue})
    return let_go


def paused(connection: Connection) -> tuple[Pause, ...]:
    """The queues that are held, by name."""
    rows = connection.execute(select(QueuePause.__table__).order_by(QueuePause.queue))
    return tuple(
        Pause(queue=row.queue, reason=row.reason, actor=row.actor, paused_at=row.paused_at) for row in rows
    )


def _audit(connection: Connection, actor: str, action: str, detail: dict[str, Any]) -> None:
    event = {"actor": actor, "action": action, "entity": "queue_pause", "entity_id": None, "detail": detail}
    connection.execute(insert(AuditEvent), [event])
