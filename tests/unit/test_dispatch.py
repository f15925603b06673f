"""Permits are sent where there is work and none waits; a slice that was full sends its successor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from threading import Event
from typing import cast

import pytest

from db import schema
from db.engine import open_engine
from db.errors import DatabaseUnavailable, SchemaMismatch
from db.ledger import Ledger
from db.records import Lane, ObjectOutcome
from db.trainings import Trainings
from tests.conformance.ledger_world import BUCKET, World, listed, make_world
from worker.captioning import Captioning
from worker.conversions import Conversions
from worker.dispatch import HINTS, Dispatch
from worker.patient import PatientLedger
from worker.queues import CAPTION, CONVERT
from worker.slices import CaptionSlice, ConvertSlice


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    engine = open_engine(f"sqlite:///{path}")
    schema.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def world(tmp_path: Path, template: Path) -> World:
    copyfile(template, tmp_path / "ledger.db")
    return make_world(open_engine(f"sqlite:///{tmp_path / 'ledger.db'}"))


@dataclass
class Sent:
    """A sender that remembers."""

    permits: list[tuple[str, str, int]] = field(default_factory=list)

    def send(self, task: str, queue: str, count: int = 1) -> None:
        self.permits.append((task, queue, count))


@dataclass
class Pile:
    """Conversions that find so many objects, ten at a time."""

    objects: int
    claimed: int = 0
    fed: list[bool] = field(default_factory=list)

    def advance(self, *, feed: bool) -> bool:
        """Claim ten, if any."""
        self.fed.append(feed)
        taken = min(10, self.objects) if feed else 0
        self.objects -= taken
        self.claimed += taken
        return taken > 0


@dataclass
class Loop:
    """Captioning that finds so many studies."""

    studies: int

    def run(self, *, limit: int, drain: Event, stop: Event, wake: Event) -> int:
        """Settle them."""
        assert drain.is_set(), "a slice ends when nothing is left"
        return min(limit, self.studies)


def dispatch(world: World, sent: Sent, **waiting: int) -> Dispatch:
    return Dispatch(ledger=world.ledger, trainings=Trainings(world.engine), sender=sent, waiting=lambda: waiting)


def test_work_that_nobody_was_told_of_gets_permits(world: World) -> None:
    sent = Sent()
    dispatch(world, sent).refill()
    assert sent.permits == []
    world.convert(s1=["s1/a"])
    world.release()
    world.ledger.record_objects(BUCKET, [listed("s2/a")])
    dispatch(world, sent).refill()
    assert sorted(sent.permits) == [("caption", CAPTION[Lane.ROUTINE], HINTS), ("convert", CONVERT, HINTS)]


def test_permits_that_wait_are_enough(world: World) -> None:
    sent = Sent()
    world.ledger.record_objects(BUCKET, [listed("s2/a")])
    dispatch(world, sent, **{CONVERT: 1}).refill()
    assert sent.permits == []


def test_only_lanes_with_work_are_told(world: World) -> None:
    sent = Sent()
    dispatch(world, sent).captions(3)
    assert sent.permits == []
    world.convert(s1=["s1/a"])
    world.release()
    dispatch(world, sent).captions(3)
    assert sent.permits == [("caption", CAPTION[Lane.ROUTINE], 3)]


@pytest.mark.parametrize(("objects", "claimed", "permits"), [(25, 25, 0), (100, 40, 1), (0, 0, 0)])
def test_a_convert_slice_ends_at_its_chunk(world: World, objects: int, claimed: int, permits: int) -> None:
    sent, pile = Sent(), Pile(objects=objects)
    ConvertSlice(conversions=cast(Conversions, pile), chunk=40, dispatch=dispatch(world, sent), stop=Event())()
    assert pile.claimed == claimed
    assert len(sent.permits) == permits


def test_a_process_that_drains_claims_no_more(world: World) -> None:
    stop = Event()
    stop.set()
    pile = Pile(objects=100)
    ConvertSlice(conversions=cast(Conversions, pile), chunk=40, dispatch=dispatch(world, Sent()), stop=stop)()
    assert pile.fed == [False]


@pytest.mark.parametrize(("studies", "permits"), [(5, 0), (200, 1)])
def test_a_full_caption_slice_sends_its_successor(world: World, studies: int, permits: int) -> None:
    sent = Sent()
    world.convert(s1=["s1/a"])
    world.release()
    captioning = cast(Captioning, Loop(studies=studies))
    CaptionSlice(captioning=captioning, chunk=64, dispatch=dispatch(world, sent), stop=Event())()
    assert len(sent.permits) == permits


class TestPatience:
    """A worker outlives a restart of its database."""

    def test_settling_is_tried_again_until_the_database_is_back(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = [DatabaseUnavailable("away"), DatabaseUnavailable("away"), None]
        settled = self._answering(monkeypatch, answers)
        PatientLedger(world.engine, patience_seconds=60, longest_pause=0).settle_objects([], owner="w")
        assert len(settled) == 3

    def test_a_wrong_schema_is_no_matter_of_time(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        settled = self._answering(monkeypatch, [SchemaMismatch("old"), None])
        with pytest.raises(SchemaMismatch):
            PatientLedger(world.engine, patience_seconds=60, longest_pause=0).settle_objects([], owner="w")
        assert len(settled) == 1

    def test_patience_ends_with_the_lease(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self._answering(monkeypatch, [DatabaseUnavailable("away")] * 1000)
        with pytest.raises(DatabaseUnavailable):
            PatientLedger(world.engine, patience_seconds=0.05, longest_pause=0.01).settle_objects([], owner="w")

    @staticmethod
    def _answering(monkeypatch: pytest.MonkeyPatch, answers: Sequence[Exception | None]) -> list[str]:
        calls: list[str] = []
        left = iter(answers)

        def settle(_self: Ledger, _outcomes: list[ObjectOutcome], *, owner: str) -> None:
            calls.append(owner)
            if error := next(left):
                raise error

        monkeypatch.setattr(Ledger, "settle_objects", settle)
        return calls
