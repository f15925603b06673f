"""Aliases of model versions: who points where now, and who ever did. The newest row of an alias holds.

Works inside the caller's transaction. `champion` writes the reports, `previous` was champion before it, `shadow`
is on trial beside it. Knows no criteria: whether a version may become champion is decided elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from db.report_tables import AuditEvent, ModelAlias

CHAMPION, SHADOW, PREVIOUS = "champion", "shadow", "previous"


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasEvent:
    """An alias began to point somewhere."""

    alias: str
    model_version_id: int | None  # None: nowhere
    actor: str
    reason: str
    created_at: datetime


def held(connection: Connection) -> dict[str, int]:
    """The version that each alias points at now; those that point nowhere are left out. One small query."""
    newest = select(func.max(ModelAlias.id)).group_by(ModelAlias.alias)
    rows = connection.execute(
        select(ModelAlias.alias, ModelAlias.model_version_id).where(ModelAlias.id.in_(newest))
    )
    return {row.alias: row.model_version_id for row in rows if row.model_version_id is not None}


def lock(connection: Connection) -> dict[str, int]:
    """As `held`, and nobody else points the champion elsewhere until this transaction ends."""
    newest = select(ModelAlias.id).where(ModelAlias.alias == CHAMPION).order_by(ModelAlias.id.desc()).limit(1)
    connection.execute(newest.with_for_update())
    return held(connection)  # asked anew: while we waited for the lock, a newer row may have come


def point(connection: Connection, alias: str, version_id: int | None, *, actor: str, reason: str) -> None:
    """Point an alias at a version from now on, None at nothing."""
    row = {"alias": alias, "model_version_id": version_id, "actor": actor, "reason": reason}
    connection.execute(insert(ModelAlias), [row])
    audit(connection, actor, "alias set", version_id, {"alias": alias, "reason": reason})


def crown(connection: Connection, version_id: int, was: dict[str, int], *, actor: str, reason: str) -> None:
    """Make a version champion and the one before it `previous`; a shadow that was promoted is no shadow more."""
    champion = was.get(CHAMPION)
    if champion == version_id:
        return
    point(connection, CHAMPION, version_id, actor=actor, reason=reason)
    if champion is not None:
        point(connection, PREVIOUS, champion, actor=actor, reason=reason)
    if was.get(SHADOW) == version_id:
        point(connection, SHADOW, None, actor=actor, reason="it is the champion now")


def history(connection: Connection, version_id: int) -> list[AliasEvent]:
    """What pointed at a version, and what the same aliases pointed at next; the oldest first."""
    mine = select(ModelAlias.alias).where(ModelAlias.model_version_id == version_id)
    first = select(func.min(ModelAlias.id)).where(ModelAlias.model_version_id == version_id).scalar_subquery()
    rows = connection.execute(
        select(ModelAlias.__table__)
        .where(ModelAlias.alias.in_(mine), ModelAlias.id >= first)
        .order_by(ModelAlias.id)
    ).all()
    told: list[AliasEvent] = []
    holds: set[str] = set()
    for row in rows:
        if row.model_version_id == version_id or row.alias in holds:
            told.append(
                AliasEvent(
                    alias=row.alias,
                    model_version_id=row.model_version_id,
                    actor=row.actor,
                    reason=row.reason,
                    created_at=row.created_at,
                )
            )
        (holds.add if row.model_version_id == version_id else holds.discard)(row.alias)
    return told


def audit(connection: Connection, actor: str, action: str, version_id: int | None, detail: dict[str, Any]) -> None:
    """Note what happened to a model version."""
    event = {"actor": actor, "action": action, "entity": "model_version", "entity_id": version_id}
    connection.execute(insert(AuditEvent), [event | {"detail": detail}])
