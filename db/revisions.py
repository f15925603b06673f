"""Study revisions: who captions which, and what became of it.

Works inside the caller's transaction. A result is written together with the state it leads to, or not at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from sqlalchemy import Connection, select

from db import backgrounds, leases, reports
from db.lanes import Lanes, due, in_lane, is_suspect
from db.records import BackgroundFact, InstanceRow, RevisionOutcome, RevisionState, RevisionWork
from db.tables import Instance, Object, RevisionInstance, StudyRevision


def claim(
    connection: Connection, *, owner: str, limit: int, lease_seconds: float, lanes: Lanes | None = None
) -> list[RevisionWork]:
    """Lease revisions for captioning, each with the instances that it was made of.

    Oldest first; with `lanes`, as they share.
    """
    lease = partial(
        leases.claim,
        connection,
        StudyRevision,
        *(StudyRevision.id, StudyRevision.study_id, StudyRevision.attempts),
        owner=owner,
        lease_seconds=lease_seconds,
    )
    if lanes is None:
        rows = lease(limit=limit)
    else:
        takes = lanes.share(due(connection, lanes, limit), limit)
        rows = [
            row
            for take in takes
            for row in lease(
                limit=take.limit,
                where=[in_lane(take.lane) if take.lane else is_suspect()],
                order=[StudyRevision.queued_at] if take.lane else (),
            )
        ]
    instances = _instances(connection, [row.id for row in rows])
    known = backgrounds.of_studies(connection, [row.study_id for row in rows])
    return [
        RevisionWork(
            revision_id=row.id,
            study_id=row.study_id,
            attempts=row.attempts,
            instances=tuple(instances[row.id]),
            background=known.get(row.study_id, BackgroundFact()),
        )
        for row in rows
    ]


def settle(
    connection: Connection, outcomes: Iterable[RevisionOutcome], *, owner: str, maker: reports.Maker
) -> list[int]:
    """Write what became of those revisions that `owner` still holds, and give their studies; leave the others."""
    by_id = {outcome.revision_id: outcome for outcome in outcomes}
    for outcome in by_id.values():
        reports.require_inputs(outcome)
        reports.require_numbers(outcome)
    rows = leases.held(
        connection, StudyRevision, StudyRevision.id, StudyRevision.study_id, ids=list(by_id), owner=owner
    )
    mine = [by_id[row.id] for row in rows]
    studies = {row.id: row.study_id for row in rows}
    reports.write(connection, [item for item in mine if item.state is RevisionState.REPORTED], studies, maker)
    leases.defer(
        connection,
        StudyRevision,
        [(item.revision_id, item.retry_in, item.reason) for item in mine if item.state is RevisionState.WAITING],
    )
    leases.settle(
        connection,
        StudyRevision,
        [
            (item.revision_id, item.state.value, item.reason)
            for item in mine
            if item.state is not RevisionState.WAITING
        ],
        model_version_id=maker.model_version_id,
    )
    return list(studies.values())


def settle_shadows(connection: Connection, outcomes: Sequence[RevisionOutcome], *, maker: reports.Maker) -> int:
    """Write what a model on trial made of revisions that are settled; how many of its reports are new."""
    for outcome in outcomes:
        reports.require_inputs(outcome)
        reports.require_numbers(outcome)
    told = [item for item in outcomes if item.state is RevisionState.REPORTED]
    return reports.write_shadows(connection, told, maker)


def _instances(connection: Connection, revision_ids: Sequence[int]) -> dict[int, list[InstanceRow]]:
    found: dict[int, list[InstanceRow]] = defaultdict(list)
    if not revision_ids:
        return found
    rows = connection.execute(
        select(
            RevisionInstance.revision_id,
            *(Object.bucket, Object.key, Object.etag, Object.size, Object.last_modified),
            *(Instance.id, Instance.object_id, Instance.sop_instance_uid, Instance.sha256, Instance.modality),
            *(Instance.body_part_examined, Instance.projection, Instance.projection_source),
            *(Instance.rows, Instance.columns, Instance.notes, Instance.standing),
        )
        .join(Instance, Instance.id == RevisionInstance.instance_id)
        .join(Object, Object.id == Instance.object_id)
        .where(RevisionInstance.revision_id.in_(revision_ids))
        .order_by(RevisionInstance.revision_id, Object.id)
    )
    for row in rows:
        found[row.revision_id].append(
            InstanceRow(
                instance_id=row.id,
                object_id=row.object_id,
                bucket=row.bucket,
                key=row.key,
                etag=row.etag,
                size=row.size,
                last_modified=row.last_modified,
                sop_instance_uid=row.sop_instance_uid,
                sha256=row.sha256,
                modality=row.modality,
                body_part_examined=row.body_part_examined,
                projection=row.projection,
                projection_source=row.projection_source,
                rows=row.rows or 0,
                columns=row.columns or 0,
                notes=tuple(row.notes),
                standing=row.standing,
            )
        )
    return found
