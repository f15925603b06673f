"""A ledger with an archive that was reported, and what is done to back-fill it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db import backfills
from db.backfills import BackfillEntry, Selection, SelectionCount
from db.engine import reading, writing
from db.feeding import Fed, feed
from db.pace import Pace
from tests.conformance.ledger_world import World, model_fact

FREE = Pace(per_hour=None, window=None)
ALL = Selection()


def archive(world: World, studies: int = 6) -> None:
    """Studies s1, s2 … that the world's model has reported."""
    world.convert(**{f"s{number}": [f"s{number}/a"] for number in range(1, studies + 1)})
    world.release()
    world.report_all()


def newer(world: World) -> int:
    """The next model version."""
    return world.registry.register_model(model_fact(version="2", weights="better"))


def start(
    world: World, model: int, *, selection: Selection = ALL, pace: Pace = FREE, named: Sequence[int] = ()
) -> int:
    """A running back-fill."""
    with writing(world.engine) as connection:
        return backfills.start(connection, selection, model_version_id=model, pace=pace, actor="ann", named=named)


def fed(world: World, model: int, **limits: int) -> Fed:
    """One slice."""
    with writing(world.engine) as connection:
        return feed(connection, model_version_id=model, actor="beat:1", **limits)


def entry(world: World, backfill_id: int) -> BackfillEntry:
    """A back-fill as it stands."""
    with reading(world.engine) as connection:
        (found,) = backfills.entries(connection, backfill_id=backfill_id)
    return found


def counted(world: World, model: int, selection: Selection = ALL, named: Sequence[int] = ()) -> SelectionCount:
    """What a dry run tells."""
    with reading(world.engine) as connection:
        return backfills.count(connection, selection, model_version_id=model, named=named)


def waiting(world: World) -> list[str]:
    """The studies in line, in the order of their ids."""
    query = (
        "SELECT s.study_instance_uid FROM study s JOIN study_revision r ON r.study_id = s.id"
        " WHERE r.state = 'waiting' ORDER BY s.id"
    )
    return [row[0] for row in world.rows(query)]


def study_id(world: World, uid: str) -> int:
    """The ledger's id of a study."""
    return int(world.one(f"SELECT id FROM study WHERE study_instance_uid = '{uid}'"))


def back_date(world: World, seconds: float, backfill_id: int) -> None:
    """The back-fill was fed so many seconds earlier."""
    past = datetime.now(UTC) - timedelta(seconds=seconds)
    write(
        world, f"UPDATE backfill SET fed_at = '{past:%Y-%m-%d %H:%M:%S.%f}{_zone(world)}' WHERE id = {backfill_id}"
    )


def _zone(world: World) -> str:
    return "+00" if world.engine.dialect.name == "postgresql" else ""


def write(world: World, statement: str) -> None:
    with writing(world.engine) as connection:
        connection.execute(text(statement))
