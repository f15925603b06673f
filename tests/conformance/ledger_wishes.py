"""What is promised of a study that goes to a model again, or is wished for now; on any engine."""

from dataclasses import replace

from db import wishes
from db.engine import writing
from db.records import Lane, RevisionOutcome, RevisionState
from tests.conformance.backfill_world import archive, counted, fed, newer, start, study_id
from tests.conformance.ledger_world import World, reported


class RecaptionTests:
    """What people see of a study that goes to a model again."""

    def test_the_report_stays_current_until_the_next_one(self, world: World) -> None:
        archive(world, 1)
        model = newer(world)
        start(world, model)
        fed(world, model)
        assert world.rows("SELECT findings, status FROM latest_report") == [("The lungs are clear.", "draft")]
        assert world.rows("SELECT state FROM study_status") == [("waiting",)]
        (work,) = world.take()
        replace(world, model_version_id=model).settle(reported(work, findings="A new nodule."))
        assert world.rows("SELECT findings, model_version FROM latest_report") == [("A new nodule.", "2")]
        assert world.rows("SELECT status FROM report ORDER BY id") == [("superseded",), ("draft",)]
        assert world.rows("SELECT state FROM study_status") == [("reported",)]

    def test_a_failure_tells_its_reason_beside_the_old_report_and_can_be_retried(self, world: World) -> None:
        archive(world, 1)
        model = newer(world)
        start(world, model)
        fed(world, model)
        (work,) = world.take()
        failed = RevisionOutcome(revision_id=work.revision_id, state=RevisionState.FAILED, reason="memory")
        replace(world, model_version_id=model).settle(failed)
        assert world.rows("SELECT state, reason FROM study_status") == [("failed", "memory")]
        assert world.rows("SELECT findings, model_version FROM latest_report") == [("The lungs are clear.", "1")]
        (shown,) = world.ledger.study_entries()
        assert (shown.state, shown.reason) == ("failed", "memory")
        assert shown.report is not None
        assert shown.report.model_version == "1"
        assert [item.used for item in shown.inputs] == [True]
        assert [(item.kind, item.reason) for item in world.ledger.failures(10)] == [("study", "memory")]
        assert world.ledger.balance().studies["failed"] == 1
        assert counted(world, model).to_queue == 0  # this model has had its try; an operator may ask again
        assert world.ledger.retry(what="studies") == 1
        assert world.rows("SELECT lane, state FROM study_revision") == [("backfill", "waiting")]

    def test_a_late_image_supersedes_what_waits_for_the_back_fill(self, world: World) -> None:
        archive(world, 1)
        model = newer(world)
        start(world, model)
        fed(world, model)
        world.convert(s1=["s1/late"])
        world.release()
        assert world.rows("SELECT state FROM study_revision ORDER BY id") == [("superseded",), ("waiting",)]
        assert world.one("SELECT count(*) FROM latest_report") == 1


class WishTests:
    """Take this one now."""

    def test_a_study_with_news_is_asked_for_and_the_others_are_told(self, world: World) -> None:
        archive(world, 1)
        world.convert(s2=["s2/a"])
        with writing(world.engine) as connection:
            wish = wishes.release_now(connection, ["s9", "s2", "s1", "s9"], lane=None, actor="ann")
        assert (wish.asked, wish.settled, wish.unknown) == (1, 1, ("s9",))
        asked = "SELECT study_instance_uid FROM study WHERE release_asked_at IS NOT NULL"
        assert world.rows(asked) == [("s2",)]
        assert set(world.rows("SELECT lane FROM study")) == {("routine",)}
        events = "SELECT actor, entity_id FROM audit_event WHERE action = 'release asked' ORDER BY entity_id"
        assert world.rows(events) == [("ann", study_id(world, "s1")), ("ann", study_id(world, "s2"))]

    def test_a_lane_moves_the_study_and_what_waits_of_it(self, world: World) -> None:
        archive(world, 2)
        world.convert(s3=["s3/a"])
        world.release()
        with writing(world.engine) as connection:
            wishes.release_now(connection, ["s1", "s3"], lane=Lane.URGENT, actor="ann")
        lanes = "SELECT s.lane, r.lane FROM study s JOIN study_revision r ON r.study_id = s.id ORDER BY s.id"
        assert world.rows(lanes) == [("urgent", "routine"), ("routine", "routine"), ("urgent", "urgent")]
