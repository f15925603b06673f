"""What the ledger promises to a fleet: lanes share, the dead are counted, queues that fail stop; on any engine."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import text

from db import pauses, wishes
from db.backlog import CAPTION, CONVERT
from db.engine import writing
from db.lanes import Lanes
from db.records import Lane, ObjectOutcome, ObjectState, ObjectWork, RevisionOutcome, RevisionState
from db.release import Patience
from tests.conformance.ledger_world import BUCKET, OWNER, World, converted, listed, refused, reported

OTHER = "other:2"
OVERDUE = 1800.0


def even(*lanes: Lane) -> Lanes:
    """Lanes of the same weight; all of them by default."""
    return Lanes(weights=dict.fromkeys(lanes or Lane, 1), overdue_seconds=OVERDUE)


def wait(world: World, lane: Lane, *studies: str) -> None:
    """Studies of a lane that wait for a report."""
    works = world.arrive(*(f"{study}/a" for study in studies))
    outcomes = [in_lane(converted(work, work.prefix), lane) for work in map(Keyed, works)]
    world.ledger.settle_objects(outcomes, owner=OWNER)
    world.release()


class Keyed(ObjectWork):
    """Claimed work whose folder names its study."""

    def __init__(self, work: ObjectWork) -> None:
        super().__init__(**{name: getattr(work, name) for name in ObjectWork.__slots__})

    @property
    def prefix(self) -> str:
        """The folder."""
        return self.key.partition("/")[0]


def in_lane(outcome: ObjectOutcome, lane: Lane) -> ObjectOutcome:
    """The same, of a study in this lane."""
    assert outcome.study
    return replace(outcome, study=replace(outcome.study, lane=lane))


def take(world: World, lanes: Lanes, limit: int, *, owner: str = OWNER, lease: float = 60) -> list[str]:
    """The lanes of what a claim gives, in order."""
    works = world.ledger.claim_revisions(owner=owner, limit=limit, lease_seconds=lease, lanes=lanes)
    found = dict(world.rows("SELECT id, lane FROM study_revision"))
    return [found[work.revision_id] for work in works]


class LaneTests:
    """Who is served first."""

    def test_a_study_goes_by_its_most_urgent_object(self, world: World) -> None:
        first, second, third = world.arrive("s1/a", "s1/b", "s1/c")
        lanes = (Lane.BACKFILL, Lane.URGENT, Lane.ROUTINE)
        for work, lane in zip((first, second, third), lanes, strict=True):
            world.ledger.settle_objects([in_lane(converted(work, "s1"), lane)], owner=OWNER)
        assert world.one("SELECT lane FROM study") == "urgent"
        world.release()
        assert world.one("SELECT lane FROM study_revision") == "urgent"

    def test_weights_are_kept_while_all_have_work(self, world: World) -> None:
        for lane in Lane:
            wait(world, lane, *(f"{lane.value}{number}" for number in range(30)))
        lanes = Lanes(weights={Lane.URGENT: 6, Lane.ROUTINE: 3, Lane.BACKFILL: 1}, overdue_seconds=OVERDUE)
        assert Counter(take(world, lanes, 20)) == {"urgent": 12, "routine": 6, "backfill": 2}
        singly = [take(world, lanes, 1)[0] for _ in range(20)]
        assert Counter(singly) == {"urgent": 12, "routine": 6, "backfill": 2}

    def test_a_lane_without_work_leaves_its_share(self, world: World) -> None:
        wait(world, Lane.BACKFILL, "s1", "s2", "s3")
        assert take(world, even(), 3) == ["backfill"] * 3

    def test_a_worker_of_some_lanes_takes_from_no_other(self, world: World) -> None:
        wait(world, Lane.ROUTINE, "s1")
        wait(world, Lane.URGENT, "s2")
        assert take(world, even(Lane.URGENT), 10) == ["urgent"]

    def test_an_old_routine_study_beats_a_new_urgent_one(self, world: World) -> None:
        wait(world, Lane.ROUTINE, "s1", "s2")
        wait(world, Lane.URGENT, "s3")
        wait(world, Lane.BACKFILL, "s4")
        heavy = Lanes(weights={Lane.URGENT: 100, Lane.ROUTINE: 1, Lane.BACKFILL: 1}, overdue_seconds=OVERDUE)
        assert take(world, heavy, 1, lease=0) == ["urgent"]
        age(world, "queued_at", "lane IN ('routine', 'backfill')")
        forget_crashes(world)
        assert take(world, heavy, 2) == ["routine", "routine"]
        assert take(world, heavy, 2) == ["urgent", "backfill"]


def age(world: World, column: str, where: str) -> None:
    """Set a time of waiting revisions two hours back."""
    then = (
        "'2020-01-01 00:00:00.000000'" if world.engine.dialect.name == "sqlite" else "now() - interval '2 hours'"
    )
    with writing(world.engine) as connection:
        connection.execute(text(f"UPDATE study_revision SET {column} = {then} WHERE {where}"))


def forget_crashes(world: World) -> None:
    """As if nobody had died."""
    with writing(world.engine) as connection:
        connection.execute(text("UPDATE study_revision SET crashes = 0, lease_owner = NULL, lease_until = NULL"))


class LostWorkerTests:
    """What a worker held when it died."""

    def test_a_sweep_frees_what_the_dead_held_and_counts_it(self, world: World) -> None:
        wait(world, Lane.ROUTINE, "s1", "s2", "s3")
        world.ledger.record_objects(BUCKET, [listed("s4/a")])
        world.claim(lease=0)
        take(world, even(), 1, owner=OTHER)
        take(world, even(), 2, lease=0)
        assert sweep(world, 5) == {CONVERT: (1, 0), CAPTION: (2, 0)}
        assert world.rows("SELECT crashes, lease_owner FROM study_revision ORDER BY id") == [
            (0, OTHER),
            (1, None),
            (1, None),
        ]
        assert sweep(world, 5) == {CONVERT: (0, 0), CAPTION: (0, 0)}

    def test_suspects_are_worked_on_alone_and_first(self, world: World) -> None:
        wait(world, Lane.BACKFILL, "s1", "s2")
        take(world, even(), 2, lease=0)
        sweep(world, 5)
        wait(world, Lane.URGENT, "s3", "s4")
        assert take(world, even(), 10) == ["backfill"]
        assert take(world, even(), 10) == ["backfill"]
        assert take(world, even(), 10) == ["urgent", "urgent"]

    def test_a_claim_that_takes_an_expired_lease_counts_too(self, world: World) -> None:
        world.ledger.record_objects(BUCKET, [listed("s1/a")])
        world.claim(lease=0)
        world.claim(owner=OTHER)
        assert world.one("SELECT crashes FROM object") == 1

    def test_work_that_loses_worker_after_worker_is_given_up_with_the_reason(self, world: World) -> None:
        wait(world, Lane.ROUTINE, "s1")
        for _ in range(2):
            take(world, even(), 1, lease=0)
            assert sweep(world, 3)[CAPTION] == (1, 0)
        take(world, even(), 1, lease=0)
        assert sweep(world, 3)[CAPTION] == (1, 1)
        ((state, reason),) = world.rows("SELECT state, reason FROM study_revision")
        assert state == "failed"
        assert reason.startswith("3 workers in succession were lost")
        world.ledger.retry(what="all")
        assert world.rows("SELECT state, crashes FROM study_revision") == [("waiting", 0)]

    def test_who_settles_is_remembered_by_its_model(self, world: World) -> None:
        wait(world, Lane.ROUTINE, "s1", "s2")
        first, second = world.take()
        skipped = RevisionOutcome(revision_id=second.revision_id, state=RevisionState.SKIPPED, reason="not for it")
        world.settle(reported(first), skipped)
        assert world.rows("SELECT model_version_id FROM study_revision") == [(world.model_version_id,)] * 2


def sweep(world: World, most: int) -> dict[str, tuple[int, int]]:
    """What a sweep found, by queue."""
    found = world.ledger.sweep(most_crashes=most)
    return {queue: (item.expired, item.given_up) for queue, item in found.items()}


class BreakerTests:
    """A queue that fails without exception is held."""

    def test_a_queue_that_fails_is_paused_once_and_audited(self, world: World) -> None:
        fail(world, 5)
        assert world.ledger.trip(share=0.5, least=6) == []
        (line,) = world.ledger.trip(share=0.5, least=5)
        assert line.startswith("convert: 5 of 5 failed")
        assert world.ledger.trip(share=0.5, least=5) == []
        assert world.rows("SELECT queue, actor FROM queue_pause") == [("convert", "breaker")]
        assert world.one("SELECT count(*) FROM audit_event WHERE entity = 'queue_pause'") == 1

    def test_failures_among_many_successes_are_no_alarm(self, world: World) -> None:
        fail(world, 5)
        world.convert(**{f"s{number}": [f"s{number}/a"] for number in range(6)})
        assert world.ledger.trip(share=0.5, least=5) == []

    def test_nobody_claims_from_a_paused_queue(self, world: World) -> None:
        wait(world, Lane.ROUTINE, "s1")
        world.ledger.record_objects(BUCKET, [listed("s2/a")])
        with writing(world.engine) as connection:
            for queue in (CONVERT, CAPTION):
                pauses.pause(connection, queue, reason="the disk is full", actor="test")
        work = world.ledger.has_work(lanes=list(Lane))
        assert (work.convert, work.lanes) == (False, frozenset())
        assert take(world, even(), 10) == []
        assert claim_heeding(world) == []
        assert len(world.take()) == 1  # a local run heeds no fleet
        with writing(world.engine) as connection:
            pauses.resume(connection, CONVERT, actor="test")
        assert world.ledger.has_work(lanes=[]).convert
        assert len(claim_heeding(world)) == 1

    def test_what_failed_before_the_queue_was_resumed_counts_no_more(self, world: World) -> None:
        fail(world, 5)
        world.ledger.trip(share=0.5, least=5)
        with writing(world.engine) as connection:
            pauses.resume(connection, CONVERT, actor="test")
        assert world.ledger.trip(share=0.5, least=5) == []

    def test_what_is_leased_or_put_off_is_no_work_for_others(self, world: World) -> None:
        wait(world, Lane.URGENT, "s1")
        assert world.ledger.has_work(lanes=list(Lane)).lanes == {Lane.URGENT}
        (work,) = world.take()
        assert world.ledger.has_work(lanes=list(Lane)).lanes == frozenset()
        world.settle(
            RevisionOutcome(
                revision_id=work.revision_id, state=RevisionState.WAITING, reason="disk full", retry_in=60
            )
        )
        assert world.ledger.has_work(lanes=list(Lane)).lanes == frozenset()


def fail(world: World, count: int) -> None:
    """Objects that cannot be converted."""
    works = world.arrive(*(f"bad/{number}" for number in range(count)))
    world.ledger.settle_objects([refused(work, ObjectState.FAILED, "torn") for work in works], owner=OWNER)


def claim_heeding(world: World) -> Sequence[ObjectWork]:
    """Claim objects as a worker of the fleet does."""
    return world.ledger.claim_objects(owner=OWNER, limit=10, lease_seconds=60, heeds_pause=True)


class CompletenessTests:
    """When a study of a bucket that goes on filling is complete."""

    patience = Patience(quiet=60, longest=900, marker="_COMPLETE", is_snapshot=False)

    def test_a_marker_completes_its_folder_at_once(self, world: World) -> None:
        works = world.arrive("s1/a", "s2/a", age=timedelta())
        outcomes = [converted(work, work.key.partition("/")[0]) for work in works]
        world.ledger.settle_objects(outcomes, owner=OWNER)
        assert world.ledger.release(self.patience) == 0
        world.ledger.record_objects(BUCKET, [listed("s1/_COMPLETE", age=timedelta())])
        assert world.ledger.release(self.patience) == 0  # it is not looked at yet
        (marker,) = world.claim()
        world.ledger.settle_objects([refused(marker, ObjectState.SKIPPED, "a marker")], owner=OWNER)
        assert world.ledger.release(self.patience) == 1
        assert world.rows("SELECT complete_because FROM study_revision") == [("marked by _COMPLETE",)]

    def test_a_marker_does_not_outrun_an_image_of_its_folder(self, world: World) -> None:
        first, _second, marker = world.arrive("s1/a", "s1/b", "s1/_COMPLETE", age=timedelta())
        world.ledger.settle_objects(
            [converted(first, "s1"), refused(marker, ObjectState.SKIPPED, "a marker")], owner=OWNER
        )
        assert world.ledger.release(self.patience) == 0

    def test_objects_that_were_old_already_wait_for_nothing(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        assert world.ledger.release(self.patience) == 1

    def test_a_shared_folder_that_goes_on_filling_holds_up_nobody(self, world: World) -> None:
        world.convert(s1=["a"])
        world.ledger.record_objects(BUCKET, [listed("b", age=timedelta())])
        assert world.release() == 0  # a snapshot waits for whatever is listed
        assert world.ledger.release(self.patience) == 1

    def test_what_may_belong_to_the_study_is_waited_for(self, world: World) -> None:
        world.convert(s1=["a"])
        world.ledger.record_objects(BUCKET, [listed("b", age=timedelta(days=1))])
        assert world.ledger.release(self.patience) == 0

    def test_an_operator_takes_it_as_it_is(self, world: World) -> None:
        (work,) = world.arrive("s1/a", age=timedelta())
        world.ledger.settle_objects([converted(work, "s1")], owner=OWNER)
        assert world.ledger.release(self.patience) == 0
        with writing(world.engine) as connection:
            wishes.release_now(connection, ["s1"], lane=Lane.URGENT, actor="test")
        assert world.ledger.release(self.patience) == 1
        assert world.rows("SELECT complete_because, lane FROM study_revision") == [
            ("released by an operator", "urgent")
        ]
        assert world.one("SELECT count(*) FROM study WHERE release_asked_at IS NOT NULL") == 0
