"""What the ledger tells of the fleet: workers, pauses, the backlog and its pace; on any engine."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from db import backlog, pauses, workers
from db.backlog import Backlog, Rate
from db.engine import reading, writing
from db.records import Lane, RevisionOutcome, RevisionState
from tests.conformance.ledger_world import BUCKET, World, reported

NAME = "caption:host:7"


def age(world: World, statement: str, seconds: float) -> None:
    """Run an UPDATE whose `:then` is so many seconds ago."""
    then = datetime.now(UTC) - timedelta(seconds=seconds)
    bound = then.strftime("%Y-%m-%d %H:%M:%S.%f") if world.engine.dialect.name == "sqlite" else then
    with writing(world.engine) as connection:
        connection.execute(text(statement), {"then": bound})


def left(world: World) -> dict[str, Backlog]:
    """The backlog by its lane, the objects' under `objects`."""
    with reading(world.engine) as connection:
        return {item.lane or "objects": item for item in backlog.backlog(connection)}


class WorkerTests:
    """Processes that tell of themselves."""

    def test_a_worker_that_tells_again_is_one_row_with_its_newest_words(self, world: World) -> None:
        for settled in (3, 5):
            with writing(world.engine) as connection:
                workers.tell(
                    connection, name=NAME, kind="caption", age_seconds=90, settled=settled, detail={"now": "batch"}
                )
        with reading(world.engine) as connection:
            (seen,) = workers.seen(connection)
        assert (seen.name, seen.kind, seen.settled, seen.detail) == (NAME, "caption", 5, {"now": "batch"})
        assert 89 < (seen.seen_at - seen.started_at).total_seconds() < 91
        assert 0 <= seen.seen_seconds < 30

    def test_silent_workers_are_gone_and_old_rows_are_pruned(self, world: World) -> None:
        with writing(world.engine) as connection:
            workers.tell(connection, name=NAME, kind="caption", age_seconds=0, settled=0, detail={})
        age(world, "UPDATE worker SET seen_at = :then", 61)
        with writing(world.engine) as connection:
            assert workers.seen(connection) == ()
            assert workers.prune(connection) == 0
            assert workers.prune(connection, older_seconds=60) == 1

    def test_a_worker_that_takes_leave_is_forgotten(self, world: World) -> None:
        with writing(world.engine) as connection:
            workers.tell(connection, name=NAME, kind="caption", age_seconds=0, settled=0, detail={})
            workers.forget(connection, NAME)
            assert workers.seen(connection) == ()


class PauseTests:
    """Queues that are held."""

    def test_the_first_reason_holds_until_somebody_lets_go_and_each_change_is_audited(self, world: World) -> None:
        with writing(world.engine) as connection:
            assert pauses.pause(connection, "caption", reason="40 of 50 failed", actor="breaker")
            assert not pauses.pause(connection, "caption", reason="lunch", actor="operator")
            (held,) = pauses.paused(connection)
            assert (held.queue, held.reason, held.actor) == ("caption", "40 of 50 failed", "breaker")
            assert pauses.resume(connection, "caption", actor="operator")
            assert not pauses.resume(connection, "caption", actor="operator")
            assert pauses.paused(connection) == ()
        told = world.rows("SELECT actor, action FROM audit_event WHERE entity = 'queue_pause' ORDER BY id")
        assert told == [("breaker", "pause"), ("operator", "resume")]


class BacklogTests:
    """What is left and how fast it goes."""

    def test_an_empty_ledger_has_empty_lanes(self, world: World) -> None:
        assert [(item.queue, item.lane, item.left) for item in left(world).values()] == [
            ("convert", "", 0),
            ("caption", "urgent", 0),
            ("caption", "routine", 0),
            ("caption", "backfill", 0),
        ]

    def test_due_leased_and_deferred_are_told_apart_by_lane(self, world: World) -> None:
        world.convert(s1=["s1/a"], s2=["s2/a"], s3=["s3/a"], s4=["s4/a"])
        world.release()
        age(world, "UPDATE study_revision SET queued_at = :then, created_at = :then", 500)
        age(world, "UPDATE study_revision SET queued_at = :then, lane = 'urgent' WHERE id = 1", 100)
        first, second = world.take(limit=2)
        later = RevisionOutcome(
            revision_id=second.revision_id, state=RevisionState.WAITING, reason="storage is away", retry_in=900
        )
        world.settle(later)
        world.arrive("s5/a", "s5/b")
        lanes = left(world)
        assert first.revision_id == 1
        assert (lanes["urgent"].due, lanes["urgent"].working, lanes["urgent"].oldest_seconds) == (0, 1, 0)
        assert (lanes["routine"].due, lanes["routine"].deferred, lanes["routine"].left) == (2, 1, 3)
        assert 499 < lanes["routine"].oldest_seconds < 560
        assert (lanes["objects"].due, lanes["objects"].working) == (0, 2)
        assert lanes["backfill"].left == 0

    def test_a_lease_that_ran_out_is_due_again(self, world: World) -> None:
        world.arrive("s1/a")
        age(world, "UPDATE object SET lease_until = :then", 1)
        assert (left(world)["objects"].due, left(world)["objects"].working) == (1, 0)

    @pytest.mark.parametrize("queue", ["convert", "caption"])
    def test_work_stalls_when_it_is_due_and_free_for_long_in_a_queue_that_goes(
        self, world: World, queue: str
    ) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.arrive("s2/a")
        table = {"convert": "object", "caption": "study_revision"}[queue]
        with writing(world.engine) as connection:
            assert not backlog.has_stalled(connection, queue, seconds=300)
        age(world, f"UPDATE {table} SET next_attempt_at = :then, lease_until = NULL", 301)
        with writing(world.engine) as connection:
            assert backlog.has_stalled(connection, queue, seconds=300)
            pauses.pause(connection, queue, reason="lunch", actor="operator")
            assert not backlog.has_stalled(connection, queue, seconds=300)
            pauses.resume(connection, queue, actor="operator")
        age(world, f"UPDATE {table} SET lease_until = :then", -60)
        with writing(world.engine) as connection:
            assert not backlog.has_stalled(connection, queue, seconds=300)

    def test_work_that_is_not_ours_does_not_stall(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.arrive("s2/a")
        for table in ("object", "study_revision"):
            age(world, f"UPDATE {table} SET next_attempt_at = :then, lease_until = NULL", 301)
        with reading(world.engine) as connection:
            assert backlog.has_stalled(connection, "convert", seconds=300, bucket=BUCKET)
            assert not backlog.has_stalled(connection, "convert", seconds=300, bucket="another")
            assert backlog.has_stalled(connection, "caption", seconds=300, lanes=[Lane.URGENT, Lane.ROUTINE])
            assert not backlog.has_stalled(connection, "caption", seconds=300, lanes=[Lane.URGENT])

    def test_the_pace_counts_what_ended_lately_from_its_first(self, world: World) -> None:
        world.convert(s1=["s1/a"], s2=["s2/a"], s3=["s3/a"])
        world.release()
        world.settle(*(reported(work) for work in world.take()))
        age(world, "UPDATE study_revision SET settled_at = :then WHERE id = 1", 4000)
        age(world, "UPDATE study_revision SET settled_at = :then WHERE id = 2", 1000)
        with reading(world.engine) as connection:
            assert backlog.rate(connection, "caption") == Rate(short=1, long=2, per_second=1 / 60)
        age(world, "UPDATE study_revision SET settled_at = :then WHERE id = 3", 100)
        with reading(world.engine) as connection:
            assert backlog.rate(connection, "caption").per_second == pytest.approx(1 / 100, rel=0.2)
        age(world, "UPDATE study_revision SET settled_at = :then WHERE id = 3", 2000)
        with reading(world.engine) as connection:
            assert backlog.rate(connection, "caption").per_second == pytest.approx(2 / 2000, rel=0.05)

    def test_revisions_that_a_late_image_replaced_were_not_worked_on(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.convert(s1=["s1/b"])
        world.release()
        with reading(world.engine) as connection:
            assert backlog.rate(connection, "caption").long == 0
            assert backlog.rate(connection, "convert").short == 2

    def test_the_backlog_takes_two_statements(self, world: World) -> None:
        world.arrive("s1/a")
        with world.statements() as sent:
            left(world)
        assert len(sent) == 2
