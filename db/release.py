"""When a study is complete: dirty studies become revisions, once quiet or once they waited long enough.

A study is stable when its last object arrived some time ago, or a marker object says that its folder (bucket and
prefix) is complete, and nothing is left to convert in any folder that it has objects in. An operator may have it
taken as it is. An image counts no more once another image was stored under its key. Works inside the caller's
transaction; knows no report.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Exists,
    Select,
    and_,
    exists,
    false,
    insert,
    literal_column,
    or_,
    select,
    true,
    update,
)
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
    marker: str = ""  # the name of an object that says: its folder is complete
    is_snapshot: bool = True  # whatever is listed was there at once; else more goes on arriving beside it


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one transaction released."""

    last_study_id: int | None  # where to go on; None when no study was left
    released: int  # new revisions, those that ended at once included
    unchanged: tuple[int, ...] = ()  # studies that have the same inputs as before


class _Fresh(NamedTuple):
    """A revision to be made."""

    study_id: int
    digest: str
    because: str
    lane: str
    inputs: "_Inputs"


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
    because = {row.id: _because(row, patience) for row in complete}
    inputs = _inputs(connection, list(because))
    hashes = {
        study_id: input_hash((uid, digest) for _, uid, digest in inputs[study_id].converted)
        for study_id in because
    }
    known = _known(connection, hashes)
    fresh = [study_id for study_id in because if study_id not in known]
    _supersede(connection, fresh)
    lanes = {row.id: row.lane for row in complete}
    _insert(connection, [_Fresh(key, hashes[key], because[key], lanes[key], inputs[key]) for key in fresh])
    _renew_endings(connection, [(known[study_id], inputs[study_id]) for study_id in because if study_id in known])
    connection.execute(
        update(Study).where(Study.id.in_(list(because))).values(dirty_since=None, release_asked_at=None)
    )
    return Batch(last_study_id=complete[-1].id, released=len(fresh), unchanged=tuple(known))


def _complete_studies(connection: Connection, patience: Patience, after: int, limit: int) -> Sequence[Any]:
    """Lock complete studies. Whoever settles an object of one now waits, and marks it dirty again after us."""
    converted = ~_has_work_left(patience)
    quiet = and_(Study.last_arrival_at <= UtcIn(-patience.quiet), converted)
    marked = and_(_is_marked(patience.marker), converted) if patience.marker else false()
    asked = Study.release_asked_at.is_not(None)
    complete: ColumnElement[bool] = or_(quiet, marked, asked)
    if patience.longest is not None:
        complete = or_(complete, Study.dirty_since <= UtcIn(-patience.longest))
    return connection.execute(
        select(Study.id, Study.lane, quiet.label("quiet"), marked.label("marked"), asked.label("asked"))
        .where(Study.dirty_since.is_not(None), Study.id > after, complete)
        .order_by(Study.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True, of=Study)
    ).all()


def _has_work_left(patience: Patience) -> ColumnElement[bool]:
    """Whether any folder that the study has objects in holds an object that is not converted yet.

    One that was put off does not count: it may be put off for ever, and makes a new revision when it comes. Nor
    does one that arrived after the study had been quiet: where all studies share a folder there always is one.
    """
    own, pending = aliased(Object), aliased(Object)
    in_time = pending.last_modified <= UtcIn(patience.quiet, Study.last_arrival_at)
    waits_beside = _one_by_one(
        select(1)
        .where(
            pending.bucket == own.bucket,
            pending.prefix == own.prefix,
            pending.state == literal_column("'pending'"),
            pending.next_attempt_at <= UtcNow(),
            true() if patience.is_snapshot else in_time,
        )
        .correlate(own, Study)
    )
    return _one_by_one(
        select(1)
        .select_from(Instance)
        .join(own, own.id == Instance.object_id)
        .where(Instance.study_id == Study.id, waits_beside)
        .correlate(Study)
    )


def _is_marked(marker: str) -> ColumnElement[bool]:
    """Whether every folder that the study has objects in holds the marker."""
    own, mark = aliased(Object), aliased(Object)
    has_marker = _one_by_one(
        select(1).where(mark.bucket == own.bucket, mark.key == own.prefix + marker).correlate(own)
    )
    unmarked = (
        select(1)
        .select_from(Instance)
        .join(own, own.id == Instance.object_id)
        .where(Instance.study_id == Study.id, ~has_marker)
        .correlate(Study)
    )
    return ~_one_by_one(unmarked)


def _one_by_one(question: Select[Any]) -> Exists:
    """EXISTS, fenced against PostgreSQL's planner: the offset has it asked for each row, by index.

    Else, while statistics lag behind, it is answered for all objects of the bucket at once, which takes a second
    beside a million studies and many minutes in a new database, with the studies locked.
    """
    return exists(question.offset(0))


def _because(row: Any, patience: Patience) -> str:
    if row.marked:
        return f"marked by {patience.marker}"
    if row.quiet:
        return f"quiet for {patience.quiet:g} s"
    return "released by an operator" if row.asked else f"forced after {patience.longest:g} s"


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


def _insert(connection: Connection, fresh: Sequence[_Fresh]) -> None:
    if not fresh:
        return
    rows = []
    for item in fresh:
        state, reason = _ending(item.inputs)
        rows.append(
            {
                "study_id": item.study_id,
                "input_sha256": item.digest,
                "complete_because": item.because,
                "lane": item.lane,
                "state": state.value,
                "reason": reason,
            }
        )
    made = connection.execute(insert(StudyRevision).returning(StudyRevision.study_id, StudyRevision.id), rows)
    revision_ids = {row.study_id: row.id for row in made}
    members = [
        {"revision_id": revision_ids[item.study_id], "instance_id": instance_id}
        for item in fresh
        for instance_id, _, _ in item.inputs.converted
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
