"""A captioner whose champion changes under its hands, and a model on trial: nothing is lost or mixed up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from db.engine import writing
from db.versions import Versions
from pipeline.bucket import open_bucket
from pipeline.errors import CheckpointError
from pipeline.manifest import Accepts
from pipeline.study import Outcome, Preprocessing, Report, Reported, Study
from pipeline.viewcache import FolderViewCache
from tests.conformance.ledger_world import DECODING, OWNER, World, model_fact, run_fact
from tests.conformance.model_versions import judgement
from tests.dx import DxTags, write_dx
from worker.captioning import Bench, Captioning
from worker.incumbent import Incumbent
from worker.local import Throughput
from worker.metrics import Metrics
from worker.pseudonyms import Pseudonyms
from worker.steps import Desk, convert_object, intake
from worker.triage import Triage

SMALL = Preprocessing(height=32, width=32, fit="squash")
ACCEPTS = Accepts(modalities=("DX",), body_parts=("CHEST",), frontal="required", lateral="optional")
STUDIES = 6


@dataclass
class Scribe:
    """A captioner that writes its own name, and does something before each batch."""

    name: str
    size: int = 32  # of the views it was trained on
    before: Callable[[], object] = lambda: None
    seen: list[int] = field(default_factory=list)

    def caption(self, studies: Sequence[Study]) -> list[Outcome]:
        self.before()
        for study in studies:
            assert study.frontal is not None
            assert study.frontal.shape == (self.size, self.size)
        self.seen += [study.key for study in studies]
        report = Report(findings=self.name, impression="", confidence=-1.0, statements=(), concepts={})
        return [Reported(key=study.key, report=report) for study in studies]


@dataclass
class Stage:
    """A ledger with studies to caption, and scribes of several versions."""

    world: World
    desk: Desk
    scribes: dict[int, Scribe] = field(default_factory=dict)
    closed: list[tuple[int, int]] = field(default_factory=list)  # run, studies
    metrics: Metrics = field(default_factory=Metrics)
    time: float = 0.0

    @property
    def versions(self) -> Versions:
        return Versions(self.world.engine)

    def add(self, version: str, scribe: Scribe) -> int:
        """Register a version that is this scribe's."""
        model = self.world.registry.register_model(model_fact(version=version, weights=f"weights {version}"))
        self.scribes[model] = scribe
        return model

    def bench(self, version_id: int, trigger: str = "live") -> Bench:
        scribe = self.scribes.get(version_id)
        if scribe is None:
            raise CheckpointError("its files are nowhere")
        run_id = self.world.registry.start_run(replace(run_fact(version_id), trigger=trigger))
        preprocessing = replace(SMALL, width=scribe.size, height=scribe.size)
        return Bench(
            ledger=self.world.ledger,
            desk=replace(self.desk, preprocessing=preprocessing),
            captioner=scribe,
            accepts=ACCEPTS,
            model=scribe.name,
            batch_size=2,
            owner=OWNER,
            lease_seconds=60,
            run_id=run_id,
            model_version_id=version_id,
            decoding_sha256=DECODING,
            device="none",
            metrics=self.metrics,
        )

    def incumbent(self, first: int, **given: Callable[[str], None]) -> Incumbent:
        def close(run_id: int, throughput: Throughput) -> None:
            self.closed.append((run_id, throughput.settled))

        return Incumbent(
            self.bench(first),
            aliases=self.versions.aliases,
            load=self.bench,
            close_run=close,
            metrics=self.metrics,
            clock=lambda: self.time,
            **given,
        )

    def work(self, incumbent: Incumbent) -> int:
        nothing_more = Event()
        nothing_more.set()
        captioning = Captioning(
            lambda: incumbent.bench,
            on_settled=lambda bench, outcomes: incumbent.count(bench, len(outcomes)),
            on_shadow=incumbent.count,
        )
        return captioning.run(limit=None, drain=nothing_more, stop=Event(), wake=Event())

    def promote(self, version_id: int) -> None:
        champion = self.versions.aliases()["champion"]
        self.versions.promote(version_id, judgement(), champion_id=champion, actor="ann")

    def written(self) -> Mapping[str, int]:
        return dict(self.world.rows("SELECT findings, count(*) FROM latest_report GROUP BY findings"))

    def sample(self, name: str, outcome: str) -> float:
        return self.metrics.registry.get_sample_value(f"{name}_total", {"outcome": outcome}) or 0


@pytest.fixture
def stage(world: World, tmp_path: Path) -> Stage:
    """Studies that wait; version 1 is champion."""
    for number in range(STUDIES):
        pixels = np.roll(np.arange(64 * 64), number).astype(np.uint8).reshape(64, 64)
        write_dx(tmp_path / "archive" / f"{number}.dcm", pixels, DxTags(study=f"{number}", name="PA"))
    desk = Desk(
        bucket=open_bucket(str(tmp_path / "archive")),
        cache=FolderViewCache(tmp_path / "views"),
        preprocessing=SMALL,
        triage=Triage(),
        pseudonyms=Pseudonyms(key=b"test"),
    )
    intake(world.ledger, desk.bucket, lambda _seen, _new: None)
    world.ledger.settle_objects([convert_object(desk, work) for work in world.claim()], owner=OWNER)
    world.release(quiet=0)
    stage = Stage(world=world, desk=desk)
    stage.scribes[world.model_version_id] = Scribe("one")
    stage.versions.adopt(world.model_version_id, actor="run:1", reason="first")
    return stage


def test_a_champion_promoted_while_a_batch_is_in_hand_takes_the_next_one_and_no_study_is_lost(
    stage: Stage,
) -> None:
    second = stage.add("2", Scribe("two", size=48))  # which wants other views, too
    told: list[str] = []
    incumbent = stage.incumbent(stage.world.model_version_id, on_change=told.append)

    def promote_once() -> None:
        if stage.versions.aliases()["champion"] != second:
            stage.promote(second)
            incumbent.look()

    stage.scribes[stage.world.model_version_id].before = promote_once
    assert stage.work(incumbent) == STUDIES
    incumbent.close()
    written = stage.written()
    assert sum(written.values()) == STUDIES
    assert written["one"] in (2, 4)  # the batch in hand, and the one that may have been loaded for it
    assert written["two"] == STUDIES - written["one"]
    assert stage.world.rows("SELECT count(*) FROM study_revision WHERE state <> 'reported'") == [(0,)]
    by_model = "SELECT m.version, count(*) FROM study_revision r JOIN model_version m ON m.id = r.model_version_id"
    assert dict(stage.world.rows(f"{by_model} GROUP BY m.version")) == {"1": written["one"], "2": written["two"]}
    first_run, second_run = stage.world.run_id + 1, stage.world.run_id + 2
    assert dict(stage.closed) == {first_run: written["one"], second_run: written["two"]}
    assert told == ["two"]


def test_a_champion_that_cannot_be_had_leaves_the_old_one_at_work(stage: Stage) -> None:
    lost = stage.world.registry.register_model(model_fact(version="2", weights="lost"))
    incumbent = stage.incumbent(stage.world.model_version_id)
    stage.promote(lost)
    for _ in range(3):
        incumbent.look()
    assert stage.sample("nightread_champion_changes", "failed") == 1  # it is not asked for at every look
    assert stage.work(incumbent) == STUDIES
    assert stage.written() == {"one": STUDIES}
    stage.scribes[lost] = Scribe("two")
    stage.time += 20
    incumbent.look()
    assert incumbent.bench.model == "two"


def test_a_model_on_trial_writes_beside_the_champion_and_is_never_current(stage: Stage) -> None:
    trial = stage.add("2", Scribe("two", size=48))
    stage.versions.set_shadow(trial, actor="ann", reason="on trial")
    incumbent = stage.incumbent(stage.world.model_version_id)
    incumbent.look()
    assert stage.work(incumbent) == STUDIES
    assert stage.written() == {"one": STUDIES}
    assert stage.world.rows("SELECT DISTINCT findings, current_findings FROM shadow_report") == [("two", "one")]
    assert stage.world.one("SELECT count(*) FROM shadow_report") == STUDIES
    assert stage.world.one("SELECT count(*) FROM study_revision WHERE model_version_id = 1") == STUDIES
    assert stage.sample("nightread_shadow_studies", "reported") == STUDIES
    stage.versions.set_shadow(None, actor="ann", reason="seen enough")
    incumbent.look()
    assert incumbent.bench.shadow is None
    incumbent.close()
    assert [studies for _, studies in stage.closed] == [STUDIES, STUDIES]


def test_a_model_on_trial_that_fails_costs_the_champion_nothing(stage: Stage) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    trial = stage.add("2", Scribe("two", before=fail))
    stage.versions.set_shadow(trial, actor="ann", reason="on trial")
    incumbent = stage.incumbent(stage.world.model_version_id)
    incumbent.look()
    assert stage.work(incumbent) == STUDIES
    assert stage.written() == {"one": STUDIES}
    assert stage.world.one("SELECT count(*) FROM shadow_report") == 0
    assert stage.sample("nightread_shadow_studies", "failed") == STUDIES


def test_a_trial_whose_model_cannot_be_had_is_told_and_the_champion_works(stage: Stage) -> None:
    lost = stage.world.registry.register_model(model_fact(version="2", weights="lost"))
    stage.versions.set_shadow(lost, actor="ann", reason="on trial")
    incumbent = stage.incumbent(stage.world.model_version_id)
    incumbent.look()
    assert (incumbent.bench.model, incumbent.bench.shadow) == ("one", None)
    assert stage.sample("nightread_champion_changes", "failed") == 1


def test_a_shadow_that_is_promoted_is_no_shadow_more(stage: Stage) -> None:
    trial = stage.add("2", Scribe("two"))
    stage.versions.set_shadow(trial, actor="ann", reason="on trial")
    incumbent = stage.incumbent(stage.world.model_version_id)
    incumbent.look()
    stage.promote(trial)
    incumbent.look()
    assert (incumbent.bench.model, incumbent.bench.shadow) == ("two", None)


def test_a_look_at_unchanged_aliases_is_one_small_statement(stage: Stage) -> None:
    incumbent = stage.incumbent(stage.world.model_version_id)
    with stage.world.statements() as sent:
        incumbent.look()
    assert len(sent) == 1


def test_aliases_that_point_nowhere_change_nothing(stage: Stage) -> None:
    with writing(stage.world.engine) as connection:
        connection.exec_driver_sql("DELETE FROM model_alias")
    incumbent = stage.incumbent(stage.world.model_version_id)
    before = incumbent.bench
    incumbent.look()
    assert incumbent.bench is before
