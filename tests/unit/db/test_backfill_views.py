"""A back-fill looks at the views that the first model left, and at the objects only where it needs other views."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from db import backfills
from db.backfills import Selection
from db.engine import writing
from db.feeding import feed
from db.pace import Pace
from pipeline.bucket import Bucket, open_bucket
from pipeline.manifest import Accepts
from pipeline.study import ObjectRef, Preprocessing
from pipeline.viewcache import FolderViewCache
from tests.conformance.ledger_world import OWNER, World, model_fact
from tests.conformance.ledger_world import reported as reported_by_model
from tests.dx import DxTags, write_dx
from worker.pseudonyms import Pseudonyms
from worker.steps import Desk, Prepared, convert_object, intake, prepare
from worker.triage import Triage

WANTED = Preprocessing(height=32, width=32, fit="squash")
ACCEPTS = Accepts(modalities=("DX",), body_parts=("CHEST",), frontal="required", lateral="optional")
STUDIES = 3


@dataclass
class CountingBucket:
    """A bucket that counts how often an object is opened."""

    bucket: Bucket
    opened: int = 0

    @property
    def name(self) -> str:
        return self.bucket.name

    @property
    def prefix(self) -> str:
        return self.bucket.prefix

    def stat(self, key: str) -> ObjectRef | None:
        return self.bucket.stat(key)

    def list(self, *, after: str = "", within: str = "") -> Iterator[ObjectRef]:
        return self.bucket.list(after=after, within=within)

    def open(self, ref: ObjectRef) -> AbstractContextManager[BinaryIO]:
        self.opened += 1
        return self.bucket.open(ref)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk over an archive of a few studies."""
    for number in range(STUDIES):
        pixels = np.roll(np.arange(64 * 64), number).astype(np.uint8).reshape(64, 64)
        write_dx(tmp_path / "archive" / f"{number}.dcm", pixels, DxTags(study=f"{number}", name="PA"))
    return Desk(
        bucket=CountingBucket(open_bucket(str(tmp_path / "archive"))),
        cache=FolderViewCache(tmp_path / "views"),
        preprocessing=WANTED,
        triage=Triage(),
        pseudonyms=Pseudonyms(key=b"test"),
    )


def report_waiting(world: World, desk: Desk) -> int:
    """Prepare and report what waits; how often an object was opened for it."""
    assert isinstance(desk.bucket, CountingBucket)
    before, works = desk.bucket.opened, world.take()
    assert len(works) == STUDIES
    prepared = [prepare(desk, work, accepts=ACCEPTS, model="starter") for work in works]
    assert all(isinstance(item, Prepared) for item in prepared)
    world.settle(*(reported_by_model(work) for work in works))
    return desk.bucket.opened - before


def first_night(world: World, desk: Desk) -> None:
    """Everything from the listing to the first model's reports."""
    intake(world.ledger, desk.bucket, lambda _seen, _new: None)
    world.ledger.settle_objects([convert_object(desk, work) for work in world.claim()], owner=OWNER)
    world.release(quiet=0)
    assert report_waiting(world, desk) == 0


def promote(world: World) -> World:
    """The same world with the next model version in use, and a back-fill for it fed."""
    model = world.registry.register_model(model_fact(version="2", weights="better"))
    free = Pace(per_hour=None, window=None)
    with writing(world.engine) as connection:
        backfills.start(connection, Selection(), model_version_id=model, pace=free, actor="ann")
        assert feed(connection, model_version_id=model, actor="beat:1").queued == STUDIES
    return replace(world, model_version_id=model)


def test_a_model_of_the_same_preprocessing_opens_no_object(world: World, desk: Desk) -> None:
    first_night(world, desk)
    assert report_waiting(promote(world), desk) == 0
    assert world.one("SELECT count(*) FROM latest_report WHERE model_version = '2'") == STUDIES


def test_a_model_of_other_preprocessing_reads_each_object_once(world: World, desk: Desk) -> None:
    first_night(world, desk)
    wider = replace(desk, preprocessing=replace(WANTED, width=48))
    assert report_waiting(promote(world), wider) == STUDIES
    assert world.one("SELECT count(*) FROM latest_report WHERE model_version = '2'") == STUDIES
