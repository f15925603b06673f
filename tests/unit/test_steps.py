"""The steps give an outcome for whatever a bucket, a cache or an object does, and lose nothing."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from db.records import (
    BackgroundFact,
    InstanceRow,
    ObjectOutcome,
    ObjectState,
    ObjectWork,
    RevisionOutcome,
    RevisionState,
    RevisionWork,
)
from pipeline.bucket import Bucket, open_bucket
from pipeline.errors import CheckpointError, NightreadError, NotForUs, ObjectChanged, Unavailable
from pipeline.manifest import Accepts
from pipeline.study import (
    Background,
    Dead,
    ObjectRef,
    Outcome,
    Pixels,
    Preprocessing,
    Report,
    Reported,
    RetryLater,
    Skipped,
    Study,
)
from tests.dx import DxTags, write_dx
from tests.handed_work import work_on
from worker.pseudonyms import Pseudonyms
from worker.steps import Desk, Prepared, caption, convert_object, prepare
from worker.triage import Triage

WANTED = Preprocessing(height=32, width=32, fit="squash")
ACCEPTS = Accepts(modalities=("DX",), body_parts=("CHEST",), frontal="required", lateral="optional")


@dataclass
class MemoryCache:
    """A view cache that forgets when told, and can be full."""

    views: dict[str, Pixels] = field(default_factory=dict)
    error: NightreadError | None = None

    def put(self, sha256: str, _preprocessing: Preprocessing, pixels: Pixels) -> None:
        if self.error:
            raise self.error
        self.views[sha256] = pixels

    def get(self, sha256: str, _preprocessing: Preprocessing) -> Pixels | None:
        return self.views.get(sha256)


@dataclass
class BrokenBucket:
    """A bucket that raises."""

    error: NightreadError
    name: str = "broken"
    prefix: str = ""

    def list(self, *, after: str = "", within: str = "") -> Iterator[ObjectRef]:
        raise self.error

    def stat(self, key: str) -> ObjectRef | None:
        raise self.error

    def open(self, ref: ObjectRef) -> AbstractContextManager[BinaryIO]:
        raise self.error


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    pixels = np.linspace(0, 255, 64 * 64).astype(np.uint8).reshape(64, 64)
    write_dx(tmp_path / "PA.dcm", pixels, DxTags(study="1", name="PA", patient_id="4711"))
    return tmp_path


def _desk(bucket: Bucket, cache: MemoryCache) -> Desk:
    return Desk(
        bucket=bucket,
        cache=cache,
        preprocessing=WANTED,
        pseudonyms=Pseudonyms(key=b"test"),
        triage=Triage(marker="_COMPLETE"),
    )


def _work(bucket: Bucket) -> ObjectWork:
    (ref,) = bucket.list()
    return work_on(bucket, ref, attempts=1)


def _revision(work: ObjectWork, outcome: ObjectOutcome, **changes: str) -> RevisionWork:
    assert outcome.instance
    instance = InstanceRow(
        instance_id=5,
        object_id=work.object_id,
        bucket=work.bucket,
        key=work.key,
        etag=work.etag,
        size=work.size,
        last_modified=work.last_modified,
        sop_instance_uid=outcome.instance.sop_instance_uid,
        sha256=changes.get("sha256", outcome.instance.sha256 or ""),
        modality="DX",
        body_part_examined=changes.get("body_part", "CHEST"),
        projection=outcome.instance.projection,
        projection_source=outcome.instance.projection_source,
        rows=64,
        columns=64,
        notes=(),
    )
    return RevisionWork(revision_id=7, study_id=3, attempts=0, instances=(instance,))


def test_a_converted_object_leaves_a_view_and_pseudonyms(archive: Path) -> None:
    bucket, cache = open_bucket(str(archive)), MemoryCache()
    outcome = convert_object(_desk(bucket, cache), _work(bucket))
    assert outcome.state is ObjectState.CONVERTED
    assert outcome.instance
    assert outcome.study
    assert [view.shape for view in cache.views.values()] == [(32, 32)]
    assert outcome.instance.sha256 in cache.views
    assert "4711" not in repr(outcome)
    assert outcome.study.patient_id == Pseudonyms(key=b"test")("patient_id", "4711")


@pytest.mark.parametrize(
    ("error", "state", "is_delayed"),
    [
        (ObjectChanged("gone"), ObjectState.GONE, False),
        (NotForUs("a pipe"), ObjectState.SKIPPED, False),
        (Unavailable("no route"), ObjectState.PENDING, True),
    ],
)
def test_what_a_bucket_raises_is_an_outcome(
    archive: Path, error: NightreadError, state: ObjectState, is_delayed: bool
) -> None:
    work = _work(open_bucket(str(archive)))
    outcome = convert_object(_desk(BrokenBucket(error), MemoryCache()), work)
    assert (outcome.state, outcome.retry_in > 0) == (state, is_delayed)
    assert outcome.reason


def test_a_marker_is_skipped_unread(archive: Path) -> None:
    work = replace(_work(open_bucket(str(archive))), key="a/_COMPLETE")
    outcome = convert_object(_desk(BrokenBucket(Unavailable("must not be read")), MemoryCache()), work)
    assert outcome.state is ObjectState.SKIPPED
    assert outcome.reason.startswith("a marker")


def test_a_full_cache_defers_the_object(archive: Path) -> None:
    bucket = open_bucket(str(archive))
    outcome = convert_object(_desk(bucket, MemoryCache(error=Unavailable("disk full"))), _work(bucket))
    assert (outcome.state, outcome.reason) == (ObjectState.PENDING, "disk full")


def test_a_fault_of_ours_is_not_caught(archive: Path) -> None:
    work = _work(open_bucket(str(archive)))
    with pytest.raises(CheckpointError):
        convert_object(_desk(BrokenBucket(CheckpointError("x")), MemoryCache()), work)


def _prepare(desk: Desk, work: RevisionWork) -> Prepared | RevisionOutcome:
    return prepare(desk, work, accepts=ACCEPTS, model="m 1")


def test_a_lost_view_is_made_again_from_the_object(archive: Path) -> None:
    bucket, cache = open_bucket(str(archive)), MemoryCache()
    desk, work = _desk(bucket, cache), _work(bucket)
    revision = _revision(work, convert_object(desk, work))
    (kept,) = cache.views.values()
    cache.views.clear()
    prepared = _prepare(desk, revision)
    assert isinstance(prepared, Prepared)
    assert prepared.study.frontal is not None
    assert np.array_equal(prepared.study.frontal, kept)
    assert len(cache.views) == 1


def test_a_lost_view_of_a_replaced_object_fails_with_the_reason(archive: Path) -> None:
    bucket, cache = open_bucket(str(archive)), MemoryCache()
    desk, work = _desk(bucket, cache), _work(bucket)
    revision = _revision(work, convert_object(desk, work))
    cache.views.clear()
    outcome = _prepare(_desk(BrokenBucket(ObjectChanged("x"), name=bucket.name), cache), revision)
    assert isinstance(outcome, RevisionOutcome)
    assert outcome.state is RevisionState.FAILED
    assert "no longer in the cache, and the object was deleted or replaced" in outcome.reason
    elsewhere = _prepare(_desk(BrokenBucket(ObjectChanged("x")), cache), revision)
    assert isinstance(elsewhere, RevisionOutcome)
    assert elsewhere.state is RevisionState.WAITING
    assert "of another source; run with that source again" in elsewhere.reason
    other = _prepare(desk, _revision(work, convert_object(desk, work), sha256="0" * 64))
    assert isinstance(other, RevisionOutcome)
    assert "no longer those with SHA-256" in other.reason


def test_a_study_for_another_model_is_skipped_by_name(archive: Path) -> None:
    bucket = open_bucket(str(archive))
    desk, work = _desk(bucket, MemoryCache()), _work(bucket)
    outcome = _prepare(desk, _revision(work, convert_object(desk, work), body_part="HIP"))
    assert isinstance(outcome, RevisionOutcome)
    assert (outcome.state, outcome.reason) == (RevisionState.SKIPPED, "HIP is not for m 1")


class ScriptedCaptions:
    """Says what it was told to say."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = outcomes

    def caption(self, studies: Sequence[Study]) -> list[Outcome]:
        assert len(studies) == len(self._outcomes)
        return list(self._outcomes)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Reported(key=7, report=Report(findings="Clear.", impression="Normal.", confidence=-0.3)), "reported"),
        (Skipped(key=7, reason="x"), "skipped"),
        (Dead(key=7, reason="x"), "failed"),
        (RetryLater(key=7, reason="x"), "waiting"),
    ],
)
def test_every_outcome_of_the_model_settles_the_revision(archive: Path, outcome: Outcome, state: str) -> None:
    bucket = open_bucket(str(archive))
    desk, work = _desk(bucket, MemoryCache()), _work(bucket)
    prepared = _prepare(desk, _revision(work, convert_object(desk, work)))
    assert isinstance(prepared, Prepared)
    (settled,) = caption(ScriptedCaptions(outcome), [prepared])
    assert (settled.revision_id, settled.state) == (7, state)
    if settled.report:
        assert [(item.instance_id, item.used) for item in settled.report.inputs] == [(5, True)]
    else:
        assert settled.reason == "x"


COUGH = BackgroundFact(indication="cough", age=63.0, sex="F")


@pytest.mark.parametrize(
    ("is_read", "takes_indication", "background"),
    [
        (True, True, Background(indication="cough", age=63, sex="F")),
        (True, False, Background(age=63, sex="F")),
        (False, True, Background()),
    ],
)
def test_a_model_is_told_what_it_reads_and_the_site_allows(
    archive: Path, is_read: bool, takes_indication: bool, background: Background
) -> None:
    bucket = open_bucket(str(archive))
    desk, work = _desk(bucket, MemoryCache()), _work(bucket)
    revision = replace(_revision(work, convert_object(desk, work)), background=COUGH)
    told = replace(desk, takes_indication=takes_indication)
    prepared = prepare(told, revision, accepts=replace(ACCEPTS, background=is_read), model="m 1")
    assert isinstance(prepared, Prepared)
    assert prepared.study.background == background
    report = Report(findings="Clear.", impression="Normal.", confidence=-0.3)
    (settled,) = caption(ScriptedCaptions(Reported(key=7, report=report)), [prepared])
    assert settled.report
    assert "cough" not in repr(settled.report)
    told_of = {name for name in ("indication", "age", "sex") if getattr(background, name)}
    assert settled.report.background.keys() == told_of


@pytest.mark.parametrize("takes_indication", [True, False])
def test_a_sidecar_tells_of_its_study_and_is_skipped(tmp_path: Path, takes_indication: bool) -> None:
    (tmp_path / "background.json").write_text('{"StudyInstanceUID": "1.2", "indication": "cough", "age": 63}')
    bucket = open_bucket(str(tmp_path))
    desk = replace(_desk(bucket, MemoryCache()), takes_indication=takes_indication)
    outcome = convert_object(desk, _work(bucket))
    assert (outcome.state, outcome.reason[:9]) == (ObjectState.SKIPPED, "a sidecar")
    assert outcome.study
    assert outcome.instance
    assert outcome.study.study_instance_uid == "1.2"
    assert outcome.instance.background == BackgroundFact(indication="cough" if takes_indication else "", age=63)
