"""What back-fills promise, on any engine."""

from datetime import UTC, date, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest

from db import backfills
from db.backfills import Selection, SelectionCount
from db.engine import reading, writing
from db.feeding import Fed
from db.pace import Pace, Window
from db.records import ObjectState, RevisionOutcome, RevisionState
from tests.conformance.backfill_world import (
    archive,
    back_date,
    counted,
    entry,
    fed,
    newer,
    start,
    study_id,
    waiting,
    write,
)
from tests.conformance.ledger_world import OWNER, World, refused, reported


class SelectionTests:
    """Which studies are meant."""

    def test_what_this_model_has_settled_is_not_queued_and_all_else_is(self, world: World) -> None:
        archive(world)
        model = newer(world)
        assert counted(world, world.model_version_id) == SelectionCount(selected=6, to_queue=0, seen=6, waiting=0)
        assert counted(world, model) == SelectionCount(selected=6, to_queue=6, seen=0, waiting=0)
        assert counted(world, backfills.NO_MODEL).to_queue == 6
        write(world, "UPDATE study_revision SET model_version_id = NULL")
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
            write(world, f"UPDATE study SET study_date = '{day}' WHERE study_instance_uid = 's{number}'")
        write(world, "UPDATE study SET study_date = NULL, modality = 'CR' WHERE study_instance_uid = 's4'")
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
        write(world, "UPDATE study_revision SET attempts = 3, crashes = 2, reason = 'old', queued_at = NULL")
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
        write(world, "UPDATE study SET modality = 'CR' WHERE study_instance_uid = 's6'")
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
        write(world, "UPDATE backfill SET \"window\" = ''")
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


def _turned(world: World, turn: Any, backfill_id: int) -> None:
    with writing(world.engine) as connection:
        assert turn(connection, backfill_id, actor="ann")
