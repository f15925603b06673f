"""What was known of studies before their images: read at a claim, and forgotten when a study is done.

Each object tells of its study what its header says, or the sidecar that it is; a sidecar is believed first, then
the newest object. An indication is free text about a patient: unless the site keeps it, it is erased in the
transaction that ends its study. A study that failed is not done, because somebody may retry it. Works inside the
caller's transaction. Knows no setting.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, exists, literal_column, or_, select, update

from db.records import BackgroundFact
from db.tables import Instance, Object, Study, StudyRevision


def of_studies(connection: Connection, study_ids: Sequence[int]) -> dict[int, BackgroundFact]:
    """What is known of these studies; those of which nothing is known are missing."""
    if not study_ids:
        return {}
    rows = connection.execute(
        select(Instance.study_id, Instance.indication, Instance.age, Instance.sex)
        .join(Object, Object.id == Instance.object_id)
        .where(
            Instance.study_id.in_(study_ids),
            or_(Instance.indication != "", Instance.age.is_not(None), Instance.sex != ""),
        )
        .order_by(Instance.sha256.is_(None).desc(), Object.id.desc())  # a sidecar has no bytes of an image
    )
    known: dict[int, BackgroundFact] = {}
    for row in rows:
        first = known.get(row.study_id, BackgroundFact())
        known[row.study_id] = BackgroundFact(
            indication=first.indication or row.indication,
            age=row.age if first.age is None else first.age,
            sex=first.sex or row.sex,
        )
    return known


def forget(connection: Connection, study_ids: Sequence[int]) -> None:
    """Erase the indications of those studies that are done: nothing waits, failed, or came since the release.

    Rows that somebody is writing are left: their study is released again, and its text is erased then.
    """
    unfinished = exists(
        select(1)
        .where(
            StudyRevision.study_id == Instance.study_id,
            StudyRevision.superseded_at.is_(None),
            StudyRevision.state.in_([literal_column("'waiting'"), literal_column("'failed'")]),
        )
        .correlate(Instance)
    )
    changed = exists(
        select(1).where(Study.id == Instance.study_id, Study.dirty_since.is_not(None)).correlate(Instance)
    )
    done = (
        select(Instance.id)
        .where(Instance.study_id.in_(study_ids), Instance.indication != "", ~unfinished, ~changed)
        .order_by(Instance.id)
        .with_for_update(skip_locked=True, of=Instance)
    )
    connection.execute(update(Instance).where(Instance.id.in_(done)).values(indication=""))
