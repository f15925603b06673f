"""When the schedule asks for a training run; on any engine."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from db.engine import writing
from db.trainings import Trainings
from tests.conformance.ledger_world import World


class ScheduleTests:
    """Training runs that the schedule asks for."""

    def verify(self, world: World, *, first: int, count: int) -> None:
        """So many more studies whose report a person verified or corrected."""
        world.convert(**{f"s{number}": [f"s{number}/a"] for number in range(first, first + count)})
        world.release()
        world.report_all()
        with writing(world.engine) as connection:
            connection.execute(text("UPDATE report SET status = 'verified' WHERE status = 'draft'"))
            connection.execute(text("UPDATE report SET status = 'corrected' WHERE id = 1"))

    def test_a_run_is_asked_for_when_enough_reports_are_new(self, world: World) -> None:
        trainings = Trainings(world.engine)
        self.verify(world, first=0, count=3)
        assert trainings.request_due("site.toml", after=4, actor="beat") is None
        assert trainings.unlearnt() == 3
        run = trainings.request_due("site.toml", after=3, actor="beat")
        assert run is not None
        assert trainings.unlearnt() == 0
        work = trainings.claim(owner="w1", lease_seconds=60)
        assert work is not None
        assert (work.run_id, work.config, work.promotes) == (run, "site.toml", True)

    def test_while_one_waits_or_is_at_work_no_other_is_asked_for(self, world: World) -> None:
        trainings = Trainings(world.engine)
        self.verify(world, first=0, count=2)
        with ThreadPoolExecutor(4) as pool:
            asked = list(pool.map(lambda _: trainings.request_due("site.toml", after=1, actor="beat"), range(4)))
        assert sum(run is not None for run in asked) == 1
        trainings.claim(owner="w1", lease_seconds=60)
        self.verify(world, first=2, count=2)
        assert trainings.request_due("site.toml", after=1, actor="beat") is None
        assert trainings.unlearnt() == 2

    def test_a_run_by_hand_counts_too_and_promotes_only_when_told(self, world: World) -> None:
        trainings = Trainings(world.engine)
        self.verify(world, first=0, count=2)
        trainings.request("site.toml", actor="ann")
        assert trainings.unlearnt() == 0
        (entry,) = trainings.entries(5)
        assert (entry.asked_by, entry.promotes) == ("operator", False)

    def test_a_version_names_the_run_that_made_it(self, world: World) -> None:
        trainings = Trainings(world.engine)
        trainings.request("site.toml", actor="ann", promotes=True)
        work = trainings.claim(owner="w1", lease_seconds=60)
        assert work is not None
        trainings.published(work, owner="w2", model_version_id=world.model_version_id)
        assert trainings.entries(5, model_version_id=world.model_version_id) == []
        trainings.published(work, owner="w1", model_version_id=world.model_version_id)
        (entry,) = trainings.entries(5, model_version_id=world.model_version_id)
        assert entry.run_id == work.run_id
