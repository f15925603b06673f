"""What back-fills and operators' wishes promise, on any engine."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import text

from db import backfills, wishes
from db.backfills import BackfillEntry, Selection, SelectionCount
from db.engine import reading, writing
from db.feeding import Fed, feed
from db.pace import Pace, Window
from db.records import Lane, ObjectState, RevisionOutcome, RevisionState
from tests.conformance.ledger_world import OWNER, World, model_fact, refused, reported

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
    _write(
        world, f"UPDATE backfill SET fed_at = '{past:%Y-%m-%d %H:%M:%S.%f}{_zone(world)}' WHERE id = {backfill_id}"
    )


def _zone(world: World) -> str:
    return "+00" if world.engine.dialect.name == "postgresql" else ""


def _write(world: World, statement: str) -> None:
    with writing(world.engine) as connection:
        connection.execute(text(statement))


class SelectionTests:
    """Which studies are meant."""

    def test_what_this_model_has_settled_is_not_queued_and_all_else_is(self, world: World) -> None:
        archive(world)
        model = newer(world)
        assert counted(world, world.model_version_id) == SelectionCount(selected=6, to_queue=0, seen=6, waiting=0)
        assert counted(world, model) == SelectionCount(selected=6, to_queue=6, seen=0, waiting=0)
        assert counted(world, backfills.NO_MODEL).to_queue == 6
        _write(world, "UPDATE study_revision SET model_version_id = NULL")
        assert counted(world, model).to_queue == 6

    def test_a_skip_and_a_failure_are_queued_and_a_study_without_image_is_not(self, world: World) -> None:
        world.convert(s1=["s1/a"], s2=["s2/a"])
        (broken,) = world.arrive("s3/a")
        world.ledger.settle_objects([refused(broken, ObjectState.FAILED, "truncated", "s3")], owner=OWNER)
        world.release()
        one, two = world.take()
        world.settle(
            RevisionOutcome(revision_id=one.revision_id, state=RevisionState.SKIPPED, reason="HIP"),
            RevisionOutcome(revision_id=two.revision_id, state=RevisionState.FAILED, reason="memory"),
        )
        model = newer(world)
        assert counted(world, model) == SelectionCount(selected=3, to_queue=2, seen=0, waiting=0)
        start(world, model)
        fed(world, model)
        assert waiting(world) == ["s1", "s2"]
        assert world.one("SELECT count(*) FROM study_revision WHERE state = 'waiting' AND reason <> ''") == 0

    def test_dates_and_modalities_choose(self, world: World) -> None:
        archive(world)
        for number, day in enumerate(("2020-01-01", "2020-06-30", "2020-07-01"), 1):
            _write(world, f"UPDATE study SET study_date = '{day}' WHERE study_instance_uid = 's{number}'")
        _write(world, "UPDATE study SET study_date = NULL, modality = 'CR' WHERE study_instance_uid = 's4'")
        model = newer(world)
        half = Selection(first_date=date(2020, 1, 1), last_date=date(2020, 6, 30))
        assert counted(world, model, half).to_queue == 2
        assert counted(world, model, Selection(modalities=("CR",))).to_queue == 1
        assert counted(world, model, Selection(first_date=date(2020, 1, 1), modalities=("CR",))).selected == 0
        start(world, model, selection=half)
        fed(world, model)
        assert waiting(world) == ["s1", "s2"]

    def test_named_studies_are_found_by_their_uid(self, world: World) -> None:
        archive(world)
        with reading(world.engine) as connection:
            found = dict(backfills.studies(connection, ["s5", "nobody", "s2"]))
        assert found == {"s5": study_id(world, "s5"), "nobody": None, "s2": study_id(world, "s2")}
        model, named = newer(world), [found["s5"] or 0, found["s2"] or 0]
        assert counted(world, model, Selection(named=True), named) == SelectionCount(
            selected=2, to_queue=2, seen=0, waiting=0
        )
        mine = start(world, model, selection=Selection(named=True), named=named)
        fed(world, model, walk=1)
        assert waiting(world) == ["s2"]
        fed(world, model, walk=1)
        fed(world, model, walk=1)
        assert waiting(world) == ["s2", "s5"]
        assert entry(world, mine).state == "done"

    def test_an_earlier_revision_is_never_queued(self, world: World) -> None:
        archive(world, 1)
        world.convert(s1=["s1/late"])
        world.release()
        world.report_all()
        model = newer(world)
        start(world, model)
        assert fed(world, model).queued == 1
        (work,) = world.take()
        assert len(work.instances) == 2


class FeedingTests:
    """Slices, limits, pauses."""

    def test_studies_are_queued_in_the_backfill_lane_as_if_new(self, world: World) -> None:
        archive(world, 1)
        _write(world, "UPDATE study_revision SET attempts = 3, crashes = 2, reason = 'old', queued_at = NULL")
        model = newer(world)
        start(world, model)
        fed(world, model)
        columns = "lane, attempts, crashes, reason, lease_owner, settled_at"
        assert world.rows(f"SELECT {columns} FROM study_revision") == [("backfill", 0, 0, "", None, None)]
        assert world.one("SELECT count(*) FROM study_revision WHERE queued_at IS NOT NULL") == 1

    def test_slices_go_on_where_the_last_one_ended(self, world: World) -> None:
        archive(world)
        model = newer(world)
        mine = start(world, model)
        told = [fed(world, model, limit=4), fed(world, model, limit=4), fed(world, model, limit=4)]
        assert told == [
            Fed(walked=6, queued=4, finished=0),
            Fed(walked=2, queued=2, finished=1),
            Fed(walked=0, queued=0, finished=0),
        ]
        assert (entry(world, mine).state, entry(world, mine).queued) == ("done", 6)
        assert entry(world, mine).finished_at is not None

    def test_a_walk_past_studies_that_are_not_meant_is_bounded_and_goes_on(self, world: World) -> None:
        archive(world)
        _write(world, "UPDATE study SET modality = 'CR' WHERE study_instance_uid = 's6'")
        model = newer(world)
        start(world, model, selection=Selection(modalities=("CR",)))
        told = [fed(world, model, walk=2) for _ in range(4)]
        assert [item.queued for item in told] == [0, 0, 1, 0]
        assert [item.walked for item in told] == [2, 2, 2, 0]
        assert [item.finished for item in told] == [0, 0, 0, 1]

    def test_what_waits_already_is_left_alone(self, world: World) -> None:
        archive(world, 2)
        world.convert(s3=["s3/a"])
        world.release()
        model = newer(world)
        assert counted(world, model).waiting == 1
        start(world, model)
        assert fed(world, model).queued == 2
        lanes = "SELECT lane, count(*) FROM study_revision WHERE state = 'waiting' GROUP BY lane ORDER BY lane"
        assert world.rows(lanes) == [("backfill", 2), ("routine", 1)]

    def test_a_full_lane_is_not_filled_further(self, world: World) -> None:
        archive(world)
        model = newer(world)
        start(world, model)
        assert fed(world, model, lane_full=4).queued == 4
        assert fed(world, model, lane_full=4) == Fed(walked=0, queued=0, finished=0)
        world.settle(*(reported(work) for work in world.take(limit=3)))
        assert fed(world, model, lane_full=4).queued == 2

    def test_a_rate_lets_so_many_through_and_gathers_no_more_than_a_minute(self, world: World) -> None:
        archive(world)
        model = newer(world)
        mine = start(world, model, pace=Pace(per_hour=180, window=None))
        assert fed(world, model).queued == 0
        back_date(world, 21, mine)
        assert fed(world, model).queued == 1
        assert fed(world, model).queued == 0
        back_date(world, 36000, mine)
        assert fed(world, model).queued == 4
        assert fed(world, model).queued == 0

    def test_a_pause_stops_it_and_earns_nothing(self, world: World) -> None:
        archive(world)
        model = newer(world)
        mine = start(world, model, pace=Pace(per_hour=180, window=None))
        back_date(world, 60, mine)
        _turned(world, backfills.pause, mine)
        assert fed(world, model) == Fed(walked=0, queued=0, finished=0)
        back_date(world, 60, mine)
        _turned(world, backfills.resume, mine)
        assert fed(world, model).queued == 0
        with writing(world.engine) as connection:
            assert not backfills.resume(connection, mine, actor="ann")
            assert not backfills.pause(connection, mine + 1, actor="ann")

    def test_nothing_is_queued_outside_of_the_window(self, world: World) -> None:
        archive(world)
        model = newer(world)
        minute = datetime.now(UTC).hour * 60 + datetime.now(UTC).minute
        shut = Window(start=(minute + 120) % 1440, end=(minute + 180) % 1440)
        start(world, model, pace=Pace(per_hour=None, window=shut))
        assert fed(world, model) == Fed(walked=0, queued=0, finished=0)
        start(world, model, pace=Pace(per_hour=None, window=shut.shifted(timedelta(minutes=-150))))
        assert fed(world, model).queued == 6

    def test_a_back_fill_for_another_model_than_the_fleets_waits(self, world: World) -> None:
        archive(world)
        model = newer(world)
        start(world, model)
        assert fed(world, world.model_version_id) == Fed(walked=0, queued=0, finished=0)

    def test_every_turn_is_in_the_audit(self, world: World) -> None:
        archive(world)
        model = newer(world)
        mine = start(world, model, pace=Pace(per_hour=None, window=Window(start=0, end=1439)))
        _turned(world, backfills.pause, mine)
        _turned(world, backfills.resume, mine)
        _write(world, "UPDATE backfill SET \"window\" = ''")
        fed(world, model)
        events = "SELECT actor, action FROM audit_event WHERE entity = 'backfill' ORDER BY id"
        assert world.rows(events) == [
            ("ann", "backfill started"),
            ("ann", "backfill paused"),
            ("ann", "backfill resumed"),
            ("beat:1", "backfill finished"),
        ]

    def test_feeders_at_once_do_not_exceed_the_rate(self, world: World) -> None:
        archive(world, 20)
        model = newer(world)
        mine = start(world, model, pace=Pace(per_hour=360, window=None))
        back_date(world, 3600, mine)
        together, told = Barrier(4), []

        def one() -> None:
            together.wait()
            told.append(fed(world, model).queued)

        threads = [Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told) == [0, 0, 0, 7]

    @pytest.mark.parametrize("studies", [1, 20])
    def test_a_slice_takes_a_fixed_number_of_statements(self, world: World, studies: int) -> None:
        archive(world, studies)
        model = newer(world)
        start(world, model)
        with world.statements() as sent:
            assert fed(world, model, walk=20, limit=30).queued == studies
        assert len(sent) == 5 + (studies < 20)  # the last is the finish in the audit


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


def _turned(world: World, turn: Any, backfill_id: int) -> None:
    with writing(world.engine) as connection:
        assert turn(connection, backfill_id, actor="ann")
