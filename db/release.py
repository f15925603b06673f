"""When a study is complete: dirty studies become revisions, once quiet or once they waited long enough.

A study is stable when its last object arrived some time ago and nothing is left to convert in any folder
(bucket and prefix) that it has objects in. An image counts no more once another image was stored under its
key. Works inside the caller's transaction; knows no report.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, literal_column, or_, select, update
from sqlalchemy.orm import aliased

from db.base import UtcIn, UtcNow
from db.records import ObjectState, RevisionState
from db.tables import Instance, Object, RevisionInstance, Study, StudyRevision

REASONS_SHOWN = 5  # a series of broken slices may give one reason each


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a study is waited for, in seconds."""

    quiet: float
    longest: float | None  # None: for ever


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one transaction released."""

    last_study_id: int | None  # where to go on; None when no study was left
    released: int  # new revisions, those that ended at once included


@dataclass(kw_only=True, slots=True)
class _Inputs:
    """What a study has: its converted instances, and why its other objects are none."""

    converted: list[tuple[int, str, str]] = field(default_factory=list)  # instance id, SOP UID, SHA-256
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)


def input_hash(instances: Iterable[tuple[str, str]]) -> str:
    """The identity of a set of inputs: SHA-256 over the sorted, distinct (SOP instance UID, SHA-256 of bytes).

    The content's hash and not the ETag, because an ETag of a multi-part upload is no hash of the content: the same
    bytes uploaded twice would look like two images.
    """
    lines = sorted({f"{uid} {digest}\n" for uid, digest in instances})
    return sha256("".join(lines).encode()).hexdigest()


def release(connection: Connection, patience: Patience, *, after: int, limit: int) -> Batch:
    """Make revisions of up to `limit` complete studies with an id above `after`."""
    complete = _complete_studies(connection, patience, after, limit)
    if not complete:
        return Batch(last_study_id=None, released=0)
    because = {row.id: _because(row.stable, patience) for row in complete}
    inputs = _inputs(connection, list(because))
    hashes = {
        study_id: input_hash((uid, digest) for _, uid, digest in inputs[study_id].converted)
        for study_id in because
    }
    known = _known(connection, hashes)
    fresh = [study_id for study_id in because if study_id not in known]
    _supersede(connection, fresh)
    _insert(connection, [(study_id, hashes[study_id], because[study_id], inputs[study_id]) for study_id in fresh])
    _renew_endings(connection, [(known[study_id], inputs[study_id]) for study_id in because if study_id in known])
    connection.execute(update(Study).where(Study.id.in_(list(because))).values(dirty_since=None))
    return Batch(last_study_id=complete[-1].id, released=len(fresh))


def _complete_studies(connection: Connection, patience: Patience, after: int, limit: int) -> Sequence[Any]:
    """Lock complete studies. Whoever settles an object of one now waits, and marks it dirty again after us."""
    stable = and_(Study.last_arrival_at <= UtcIn(-patience.quiet), ~_has_work_left())
    complete: ColumnElement[bool] = stable
    if patience.longest is not None:
        complete = or_(stable, Study.dirty_since <= UtcIn(-patience.longest))
    return connection.execute(
        select(Study.id, stable.label("stable"))
        .where(Study.dirty_since.is_not(None), Study.id > after, complete)
        .order_by(Study.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True, of=Study)
    ).all()


def _has_work_left() -> ColumnElement[bool]:
    """Whether any folder that the study has objects in holds an object that is not converted yet.

    One that was put off does not count: it may be put off for ever, and makes a new revision when it comes.
    """
    own, pending = aliased(Object), aliased(Object)
    return exists(
        select(1)
        .select_from(Instance)
        .join(own, own.id == Instance.object_id)
        .join(pending, and_(pending.bucket == own.bucket, pending.prefix == own.prefix))
        .where(
            Instance.study_id == Study.id,
            pending.state == literal_column("'pending'"),
            pending.next_attempt_at <= UtcNow(),
        )
        .correlate(Study)
    )


def _because(stable: bool, patience: Patience) -> str:
    return f"quiet for {patience.quiet:g} s" if stable else f"forced after {patience.longest:g} s"


def _inputs(connection: Connection, study_ids: Sequence[int]) -> dict[int, _Inputs]:
    newer = aliased(Object)
    replaced = exists(
        select(1)
        .where(
            newer.bucket == Object.bucket,
            newer.key == Object.key,
            newer.id > Object.id,
            newer.state == literal_column("'converted'"),
        )
        .correlate(Object)
    )
    rows = connection.execute(
        select(
            Instance.study_id, Instance.id, Instance.sop_instance_uid, Instance.sha256, Object.state, Object.reason
        )
        .join(Object, Object.id == Instance.object_id)
        .where(Instance.study_id.in_(study_ids), ~replaced)
        .order_by(Object.id)
    )
    inputs = {study_id: _Inputs() for study_id in study_ids}
    for row in rows:
        mine = inputs[row.study_id]
        if row.state == ObjectState.CONVERTED:
            mine.converted.append((row.id, row.sop_instance_uid, row.sha256))
        elif row.state == ObjectState.FAILED:
            mine.failed.add(row.reason)
        elif row.state == ObjectState.SKIPPED:
            mine.skipped.add(row.reason)
    return inputs


def _known(connection: Connection, hashes: dict[int, str]) -> dict[int, int]:
    """Studies that have a revision with just these inputs, and that revision."""
    rows = connection.execute(
        select(StudyRevision.id, StudyRevision.study_id, StudyRevision.input_sha256).where(
            StudyRevision.study_id.in_(list(hashes))
        )
    )
    return {row.study_id: row.id for row in rows if hashes[row.study_id] == row.input_sha256}


def _supersede(connection: Connection, study_ids: Sequence[int]) -> None:
    """The newest revisions of these studies are the newest no more; work that waits on them is dropped."""
    if not study_ids:
        return
    older = update(StudyRevision).where(
        StudyRevision.study_id.in_(study_ids), StudyRevision.superseded_at.is_(None)
    )
    connection.execute(
        older.where(StudyRevision.state == literal_column("'waiting'")).values(
            state=RevisionState.SUPERSEDED.value,
            reason="a later image arrived before this revision was worked on",
            superseded_at=UtcNow(),
            settled_at=UtcNow(),
            lease_owner=None,
            lease_until=None,
        )
    )
    connection.execute(older.values(superseded_at=UtcNow()))


def _insert(connection: Connection, fresh: Sequence[tuple[int, str, str, _Inputs]]) -> None:
    if not fresh:
        return
    rows = []
    for study_id, digest, because, inputs in fresh:
        state, reason = _ending(inputs)
        rows.append(
            {
                "study_id": study_id,
                "input_sha256": digest,
                "complete_because": because,
                "state": state.value,
                "reason": reason,
            }
        )
    made = connection.execute(insert(StudyRevision).returning(StudyRevision.study_id, StudyRevision.id), rows)
    revision_ids = {row.study_id: row.id for row in made}
    members = [
        {"revision_id": revision_ids[study_id], "instance_id": instance_id}
        for study_id, _, _, inputs in fresh
        for instance_id, _, _ in inputs.converted
    ]
    if members:
        connection.execute(insert(RevisionInstance), members)


def _renew_endings(connection: Connection, known: Sequence[tuple[int, _Inputs]]) -> None:
    """A study without any image may have got more objects that are none: its reason is told anew."""
    for revision_id, inputs in known:
        if not inputs.converted:
            state, reason = _ending(inputs)
            connection.execute(
                update(StudyRevision)
                .where(StudyRevision.id == revision_id)
                .values(state=state.value, reason=reason)
            )


def _ending(inputs: _Inputs) -> tuple[RevisionState, str]:
    """The state that a new revision starts in: without an image it has ended already."""
    if inputs.converted:
        return RevisionState.WAITING, ""
    reasons = [*sorted(inputs.failed), *sorted(inputs.skipped - inputs.failed)]
    shown = "; ".join(reasons[:REASONS_SHOWN])
    more = f"; and {len(reasons) - REASONS_SHOWN} more" if len(reasons) > REASONS_SHOWN else ""
    if inputs.failed:
        return RevisionState.FAILED, f"no usable image: {shown}{more}"
    return RevisionState.SKIPPED, f"{shown or 'no image: its objects were replaced'}{more}"
