"""What the ledger promises of studies: each ends with one current report or a reason. For every engine."""

from dataclasses import replace
from datetime import timedelta
from math import nan
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from db.errors import DatabaseFault, ProvenanceMissing
from db.records import InputFact, ObjectOutcome, ObjectState, ReportFact, RevisionOutcome, RevisionState
from db.release import Patience
from tests.conformance.ledger_world import (
    BUCKET,
    OWNER,
    World,
    converted,
    listed,
    refused,
    report_fact,
    reported,
)


class FlowTests:
    """From objects to reports."""

    def test_an_object_that_was_gone_is_pending_when_a_listing_finds_it_again(self, world: World) -> None:
        (work,) = world.arrive("s1/a")
        world.ledger.settle_objects([refused(work, ObjectState.GONE, "deleted")], owner=OWNER)
        assert world.ledger.balance().objects["skipped"] == 1
        (again,) = world.arrive("s1/a")
        assert (again.object_id, again.attempts) == (work.object_id, 0)
        world.ledger.settle_objects([converted(again, "s1")], owner=OWNER)
        assert world.arrive("s1/a") == []

    def test_a_claim_of_one_bucket_leaves_the_others(self, world: World) -> None:
        world.ledger.record_objects("other", [listed("s1/a")])
        assert world.ledger.claim_objects(bucket="mine", owner=OWNER, limit=9, lease_seconds=60) == []
        assert len(world.ledger.claim_objects(bucket="other", owner=OWNER, limit=9, lease_seconds=60)) == 1

    def test_an_object_that_is_put_off_holds_up_no_study(self, world: World) -> None:
        first, second = world.arrive("flat/a", "flat/b")
        world.ledger.settle_objects(
            [converted(first, "s1"), ObjectOutcome(object_id=second.object_id, state=ObjectState.PENDING,
                                                   reason="no permission", retry_in=3600)],
            owner=OWNER,
        )  # fmt: skip
        assert world.ledger.release(Patience(quiet=0, longest=None)) == 1

    def test_what_failed_before_comes_after_what_is_fresh(self, world: World) -> None:
        first, second = world.arrive("a", "b")
        world.ledger.settle_objects(
            [ObjectOutcome(object_id=first.object_id, state=ObjectState.PENDING, reason="later")], owner=OWNER
        )
        world.ledger.free_leases(OWNER)
        (claimed,) = world.ledger.claim_objects(owner=OWNER, limit=1, lease_seconds=60)
        assert claimed.object_id == second.object_id

    def test_a_study_gets_one_report_with_its_provenance(self, world: World) -> None:
        world.convert(s1=["s1/a", "s1/b"])
        assert world.release() == 1
        (work,) = world.take()
        assert [item.key for item in work.instances] == ["s1/a", "s1/b"]
        assert work.instances[0].modality == "DX"
        assert work.instances[0].notes == ("no window: 0.5–99.5 percentile",)
        world.settle(reported(work))
        assert world.one("SELECT state FROM study_revision") == "reported"
        assert world.one("SELECT complete_because FROM study_revision") == "quiet for 60 s"
        inputs = world.rows("SELECT etag, sha256, used, reason FROM report_input ORDER BY instance_id")
        assert [row[:2] for row in inputs] == [("e1", item.sha256) for item in work.instances]
        assert world.rows("SELECT label, polarity FROM finding") == [("effusion", "absent")]
        assert world.rows("SELECT action, actor FROM audit_event") == [("report written", OWNER)]

    def test_settling_again_changes_nothing(self, world: World) -> None:
        works = world.arrive("s1/a")
        for _ in range(2):
            world.ledger.settle_objects([converted(work, "s1") for work in works], owner=OWNER)
        world.release()
        (work,) = world.take()
        for _ in range(2):
            world.settle(reported(work))
        counts = [world.one(f"SELECT count(*) FROM {table}") for table in ("instance", "report", "audit_event")]
        assert counts == [1, 1, 1]
        assert world.release() == 0

    def test_a_study_waits_until_it_is_quiet(self, world: World) -> None:
        (work,) = world.arrive("s1/a", age=timedelta(seconds=5))
        world.ledger.settle_objects([converted(work, "s1")], owner=OWNER)
        assert world.release(quiet=60) == 0
        assert world.release(quiet=3) == 1

    def test_a_time_in_the_future_counts_as_now(self, world: World) -> None:
        (work,) = world.arrive("s1/a", age=timedelta(days=-3))
        world.ledger.settle_objects([converted(work, "s1")], owner=OWNER)
        assert world.release(quiet=60) == 0
        assert world.release(quiet=0) == 1

    def test_a_study_waits_for_what_is_pending_in_its_folders(self, world: World) -> None:
        first, second = world.arrive("s1/a", "s1/b")
        world.ledger.settle_objects([converted(first, "s1")], owner=OWNER)
        assert world.release() == 0
        world.ledger.settle_objects([converted(second, "s1")], owner=OWNER)
        assert world.release() == 1

    def test_what_is_pending_elsewhere_keeps_nobody_waiting(self, world: World) -> None:
        first, *_ = world.arrive("s1/a", "s2/a")
        world.ledger.settle_objects([converted(first, "s1")], owner=OWNER)
        assert world.release() == 1

    def test_a_study_that_waited_too_long_is_forced(self, world: World) -> None:
        first, _ = world.arrive("s1/a", "s1/b")
        world.ledger.settle_objects([converted(first, "s1")], owner=OWNER)
        assert world.release(longest=3600) == 0
        assert world.release(longest=0) == 1
        assert world.one("SELECT complete_because FROM study_revision") == "forced after 0 s"

    def test_a_late_image_makes_a_revision_whose_report_supersedes(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.report_all()
        world.convert(s1=["s1/late"])
        assert world.release() == 1
        (work,) = world.take()
        assert [item.key for item in work.instances] == ["s1/a", "s1/late"]
        world.settle(reported(work, findings="Anew."))
        assert world.rows("SELECT id, status, supersedes_id FROM report ORDER BY id") == [
            (1, "superseded", None),
            (2, "draft", 1),
        ]
        assert world.rows("SELECT findings FROM latest_report") == [("Anew.",)]
        actions = world.rows("SELECT action, entity_id FROM audit_event ORDER BY id")
        assert actions == [("report written", 1), ("report superseded", 1), ("report written", 2)]

    def test_a_late_image_supersedes_work_that_waits_even_under_a_lease(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        (old,) = world.take()
        world.convert(s1=["s1/late"])
        world.release()
        world.settle(reported(old))
        assert world.one("SELECT count(*) FROM report") == 0
        (new,) = world.take()
        assert len(new.instances) == 2
        world.settle(reported(new))
        states = world.rows("SELECT state FROM study_revision ORDER BY id")
        assert states == [("superseded",), ("reported",)]

    def test_what_arrives_after_release_belongs_to_the_next_revision(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.convert(s1=["s1/late"])
        (work,) = world.take()
        assert [item.key for item in work.instances] == ["s1/a"]

    def test_the_same_bytes_under_another_key_are_no_new_work(self, world: World) -> None:
        (first,) = world.arrive("s1/a")
        world.ledger.settle_objects([converted(first, "s1", sop="1.1", content="x")], owner=OWNER)
        assert world.release() == 1
        (copy,) = world.arrive("s1/copy")
        world.ledger.settle_objects([converted(copy, "s1", sop="1.1", content="x")], owner=OWNER)
        assert world.release() == 0
        assert world.one("SELECT count(*) FROM study_revision") == 1
        assert world.one("SELECT count(*) FROM study WHERE dirty_since IS NOT NULL") == 0

    def test_a_key_that_was_stored_anew_replaces_its_former_bytes(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.ledger.record_objects(BUCKET, [listed("s1/a", etag="e2")])
        (work,) = world.claim()
        world.ledger.settle_objects([converted(work, "s1", content="other")], owner=OWNER)
        assert world.release() == 1
        (revision,) = world.take()
        assert [(item.key, item.etag) for item in revision.instances] == [("s1/a", "e2")]

    def test_a_study_of_only_an_sr_is_skipped_with_the_reason(self, world: World) -> None:
        first, second = world.arrive("s1/a", "s1/b")
        outcomes = [refused(work, ObjectState.SKIPPED, "SR is no image", "s1") for work in (first, second)]
        world.ledger.settle_objects(outcomes, owner=OWNER)
        assert world.release() == 1
        assert world.take() == []
        expected = ("skipped", "SR is no image")
        assert world.rows("SELECT state, reason FROM study_status") == [expected]

    def test_a_study_whose_images_are_broken_fails_with_the_reasons_in_order(self, world: World) -> None:
        works = world.arrive("s1/a", "s1/b", "s1/c")
        states = [ObjectState.SKIPPED, ObjectState.FAILED, ObjectState.FAILED]
        reasons = ["SR is no image", "truncated at byte 9", "deflate bomb"]
        outcomes = [refused(w, s, r, "s1") for w, s, r in zip(works, states, reasons, strict=True)]
        world.ledger.settle_objects(outcomes, owner=OWNER)
        world.release()
        reason = "no usable image: deflate bomb; truncated at byte 9; SR is no image"
        assert world.rows("SELECT state, reason FROM study_status") == [("failed", reason)]

    def test_a_study_without_image_tells_what_else_it_got(self, world: World) -> None:
        (first,) = world.arrive("s1/a")
        world.ledger.settle_objects([refused(first, ObjectState.SKIPPED, "SR is no image", "s1")], owner=OWNER)
        world.release()
        (second,) = world.arrive("s1/b")
        world.ledger.settle_objects([refused(second, ObjectState.FAILED, "truncated", "s1")], owner=OWNER)
        assert world.release() == 0
        expected = ("failed", "no usable image: truncated; SR is no image")
        assert world.rows("SELECT state, reason FROM study_revision") == [expected]

    def test_a_study_is_named_after_its_images(self, world: World) -> None:
        first, second = world.arrive("s1/a", "s1/b")
        world.ledger.settle_objects([refused(first, ObjectState.SKIPPED, "SR is no image", "s1")], owner=OWNER)
        assert world.one("SELECT modality FROM study") == "SR"
        world.ledger.settle_objects([converted(second, "s1")], owner=OWNER)
        assert world.one("SELECT modality FROM study") == "DX"

    def test_an_ending_without_report_has_its_reason(self, world: World) -> None:
        world.convert(s1=["s1/a"], s2=["s2/a"])
        world.release()
        first, second = world.take()
        world.settle(
            RevisionOutcome(
                revision_id=first.revision_id, state=RevisionState.SKIPPED, reason="HIP is not for us"
            ),
            RevisionOutcome(revision_id=second.revision_id, state=RevisionState.FAILED, reason="out of memory"),
        )
        states = world.rows("SELECT state, reason FROM study_status ORDER BY study_id")
        assert states == [("skipped", "HIP is not for us"), ("failed", "out of memory")]


class ProvenanceTests:
    """No result without the bytes it comes from."""

    def test_a_converted_object_must_have_its_hash(self, world: World) -> None:
        (work,) = world.arrive("s1/a")
        outcome = refused(work, ObjectState.CONVERTED, "")
        with pytest.raises(ProvenanceMissing, match="without its study"):
            world.ledger.settle_objects([outcome], owner=OWNER)

    def test_a_report_needs_a_used_input(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        (work,) = world.take()
        unused = InputFact(instance_id=work.instances[0].instance_id, used=False, reason="lateral")
        for inputs in ((), (unused,)):
            report = ReportFact(findings="x", impression="y", confidence=-1, statements=(), inputs=inputs)
            outcome = RevisionOutcome(revision_id=work.revision_id, state=RevisionState.REPORTED, report=report)
            with pytest.raises(ProvenanceMissing, match="without a used input"):
                world.settle(outcome)

    def test_a_report_names_only_inputs_of_its_revision_or_nothing_is_written(self, world: World) -> None:
        world.convert(s1=["s1/a"], s2=["s2/a"])
        world.release()
        first, second = world.take()
        foreign = RevisionOutcome(
            revision_id=first.revision_id, state=RevisionState.REPORTED, report=report_fact(second)
        )
        with pytest.raises(ProvenanceMissing, match="not one of its own"):
            world.settle(reported(second), foreign)
        assert world.one("SELECT count(*) FROM report") == 0
        assert world.rows("SELECT state FROM study_revision") == [("waiting",), ("waiting",)]

    @pytest.mark.parametrize("change", [{"confidence": nan}, {"concepts": {"effusion": nan}}])
    def test_what_is_no_number_is_refused(self, world: World, change: dict[str, Any]) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        (work,) = world.take()
        report = replace(report_fact(work), **change)
        outcome = RevisionOutcome(revision_id=work.revision_id, state=RevisionState.REPORTED, report=report)
        with pytest.raises(DatabaseFault, match="no number"):
            world.settle(outcome)

    def test_an_ending_without_reason_is_refused(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        (work,) = world.take()
        with pytest.raises(ProvenanceMissing, match="must have a reason"):
            world.settle(RevisionOutcome(revision_id=work.revision_id, state=RevisionState.FAILED))

    def test_the_audit_trail_only_grows(self, world: World) -> None:
        world.convert(s1=["s1/a"])
        world.release()
        world.report_all()
        for change in ("DELETE FROM audit_event", "UPDATE audit_event SET actor = 'x'"):
            with pytest.raises(DBAPIError, match="only grows"), world.engine.begin() as connection:
                connection.exec_driver_sql(change)
