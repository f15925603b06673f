"""What the ledger promises to workers: no row is worked on twice at once, and nothing is lost; on any engine."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from sqlalchemy import text

from db.engine import writing
from db.errors import DatabaseFault, RunInProgress
from db.records import (
    FindingFact,
    ObjectOutcome,
    ObjectState,
    ReportFact,
    RevisionOutcome,
    RevisionState,
)
from tests.conformance.ledger_world import BUCKET, OWNER, World, converted, listed, refused, report_fact, reported

OTHER = "other:2"


class ClaimTests:
    """Leases, attempts and due times."""

    def test_an_object_is_recorded_once(self, world: World) -> None:
        assert world.ledger.record_objects(BUCKET, [listed("s1/a"), listed("b")]) == 2
        assert world.ledger.record_objects(BUCKET, [listed("s1/a"), listed("s1/a"), listed("c")]) == 1
        assert world.ledger.record_objects(BUCKET, [listed("s1/a", etag="e2")]) == 1
        assert world.ledger.record_objects("other", iter([listed("s1/a")])) == 1
        assert world.rows("SELECT DISTINCT prefix FROM object ORDER BY prefix") == [("",), ("s1/",)]

    def test_more_objects_than_a_statement_takes(self, world: World) -> None:
        assert world.ledger.record_objects(BUCKET, (listed(f"s/{number}") for number in range(2500))) == 2500

    def test_odd_names_and_headers_harm_no_neighbour(self, world: World) -> None:
        odd, plain = world.arrive("s1/caf\udce9\0", "s2/b")
        assert odd.key == "s1/caf\\udce9\\x00"
        world.ledger.settle_objects([converted(odd, "1.2\0"), converted(plain, "1.3")], owner=OWNER)
        assert world.rows("SELECT study_instance_uid FROM study ORDER BY id") == [("1.2\\x00",), ("1.3",)]

    def test_claims_go_in_order_and_only_once(self, world: World) -> None:
        world.ledger.record_objects(BUCKET, [listed(f"s/{number}") for number in range(5)])
        first, second = world.claim(limit=3), world.claim(limit=3, owner=OTHER)
        assert [work.key for work in first + second] == [f"s/{number}" for number in range(5)]
        assert world.claim() == []

    def test_an_expired_lease_is_free_and_its_owner_settles_nothing(self, world: World) -> None:
        world.ledger.record_objects(BUCKET, [listed("s1/a")])
        (late,) = world.claim(lease=0)
        (work,) = world.claim(owner=OTHER)
        world.ledger.settle_objects([refused(late, ObjectState.FAILED, "late", "s1")], owner=OWNER)
        assert world.rows("SELECT state FROM object") == [("pending",)]
        assert world.one("SELECT count(*) FROM study") == 0
        world.ledger.settle_objects([converted(work, "s1")], owner=OTHER)
        assert world.rows("SELECT state, lease_owner FROM object") == [("converted", None)]

    def test_a_late_owner_settles_what_nobody_took(self, world: World) -> None:
        world.ledger.record_objects(BUCKET, [listed("s1/a")])
        (late,) = world.claim(lease=0)
        world.ledger.settle_objects([converted(late, "s1")], owner=OWNER)
        assert world.one("SELECT state FROM object") == "converted"

    def test_an_object_that_is_put_off_comes_back_when_due(self, world: World) -> None:
        (work,) = world.arrive("s1/a")
        later = ObjectOutcome(object_id=work.object_id, state=ObjectState.PENDING, reason="down", retry_in=3600)
        for _ in range(2):
            world.ledger.settle_objects([later], owner=OWNER)
        assert world.claim() == []
        assert world.rows("SELECT attempts, reason, lease_owner FROM object") == [(1, "down", None)]
        with writing(world.engine) as connection:
            connection.execute(text("UPDATE object SET next_attempt_at = created_at"))
        (again,) = world.claim()
        assert again.attempts == 1

    def test_a_revision_that_is_put_off_comes_back_when_due(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        (work,) = world.take()
        later = RevisionOutcome(
            revision_id=work.revision_id, state=RevisionState.WAITING, reason="no memory", retry_in=0
        )
        world.settle(later)
        (again,) = world.take()
        assert (work.attempts, again.attempts) == (0, 1)

    def test_an_expired_revision_is_reported_once(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        (late,) = world.take(lease=0)
        (work,) = world.take(owner=OTHER)
        world.settle(reported(late, findings="late"))
        world.settle(reported(work, findings="in time"), owner=OTHER)
        assert world.rows("SELECT findings FROM report") == [("in time",)]

    def test_the_dead_leave_their_leases_without_an_attempt(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.arrive("s2/a")
        world.take()
        assert world.ledger.free_leases("nobody:") == 0
        assert world.ledger.free_leases("host:") == 2
        (work,), (revision,) = world.claim(), world.take()
        assert (work.attempts, revision.attempts) == (0, 0)


class ConcurrencyTests:
    """Many at once."""

    def test_threads_never_claim_the_same_object(self, world: World) -> None:
        world.ledger.record_objects(BUCKET, [listed(f"s/{number}") for number in range(300)])

        def work(number: int) -> list[int]:
            taken: list[int] = []
            while batch := world.claim(owner=f"thread:{number}", limit=7):
                taken += [item.object_id for item in batch]
            return taken

        with ThreadPoolExecutor(6) as pool:
            claimed = [object_id for taken in pool.map(work, range(6)) for object_id in taken]
        assert len(claimed) == 300
        assert Counter(claimed).most_common(1)[0][1] == 1

    def test_threads_take_studies_all_the_way_without_loss(self, world: World) -> None:
        """Objects of shared studies settle in different threads while others release and report."""
        keys = [f"s{study}/{view}" for view in range(3) for study in range(20)]
        world.ledger.record_objects(BUCKET, [listed(key) for key in keys])

        def work(number: int) -> None:
            owner = f"thread:{number}"
            while batch := world.claim(owner=owner, limit=4):
                outcomes = [converted(item, item.key.partition("/")[0]) for item in batch]
                world.ledger.settle_objects(outcomes, owner=owner)
                world.release(longest=0)
                world.settle(*(reported(item) for item in world.take(owner=owner, limit=5)), owner=owner)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        world.release()
        world.report_all()
        balance = world.ledger.balance()
        assert balance.objects == {"converted": 60, "skipped": 0, "failed": 0, "waiting": 0}
        assert balance.studies == {"reported": 20, "skipped": 0, "failed": 0, "waiting": 0, "working": 0}
        assert world.one("SELECT count(*) FROM latest_report WHERE input_count = 3") == 20

    def test_two_listings_at_once_record_each_object_once(self, world: World) -> None:
        start = Barrier(2)

        def list_all(_: int) -> int:
            start.wait()
            return world.ledger.record_objects(BUCKET, [listed(f"s/{number}") for number in range(500)])

        with ThreadPoolExecutor(2) as pool:
            assert sum(pool.map(list_all, range(2))) == 500


class CrashTests:
    """A transaction that breaks leaves nothing behind."""

    def test_a_chunk_of_objects_settles_whole_or_not(self, world: World) -> None:
        first, second = world.arrive("s1/a", "s2/a")
        broken = ObjectOutcome(object_id=second.object_id, state=ObjectState.FAILED, reason=None)  # type: ignore[arg-type]
        with pytest.raises(DatabaseFault):
            world.ledger.settle_objects([converted(first, "s1"), broken], owner=OWNER)
        assert world.rows("SELECT state, lease_owner FROM object ORDER BY id") == [("pending", OWNER)] * 2
        assert world.one("SELECT count(*) FROM study") == 0

    def test_a_chunk_of_reports_settles_whole_or_not(self, world: World) -> None:
        world.convert(s1=["s1/a"], s2=["s2/a"])
        world.release()
        first, second = world.take()
        sound = report_fact(second)
        wrong = ReportFact(
            findings=sound.findings,
            impression=sound.impression,
            confidence=sound.confidence,
            statements=(FindingFact(label="effusion", polarity="perhaps", sentence="?"),),
            inputs=sound.inputs,
        )
        broken = RevisionOutcome(revision_id=second.revision_id, state=RevisionState.REPORTED, report=wrong)
        with pytest.raises(DatabaseFault):
            world.settle(reported(first), broken)
        for table in ("report", "report_input", "finding", "audit_event"):
            assert world.one(f"SELECT count(*) FROM {table}") == 0
        assert world.rows("SELECT state FROM study_revision") == [("waiting",)] * 2


class LockTests:
    """One run at a time."""

    def test_a_second_run_is_told_who_holds_the_database(self, world: World) -> None:
        with (
            world.ledger.run_lock("run"),
            pytest.raises(RunInProgress, match=r"another run holds .*: run \(process \d+ on .*\); wait"),
            world.ledger.run_lock("run"),
        ):
            pytest.fail("two runs hold the lock")

    def test_the_lock_is_free_again_after_the_run(self, world: World) -> None:
        for _ in range(2):
            with world.ledger.run_lock("run"):
                pass

    def test_a_run_that_fails_lets_go(self, world: World) -> None:
        with pytest.raises(ZeroDivisionError), world.ledger.run_lock("run"):
            raise ZeroDivisionError
        with world.ledger.run_lock("run"):
            pass

    def test_work_goes_on_under_the_lock(self, world: World) -> None:
        with world.ledger.run_lock("run"):
            thread = Thread(target=lambda: world.convert(s1=["s1/a"]))
            thread.start()
            thread.join(timeout=timedelta(seconds=20).total_seconds())
            assert world.release() == 1
