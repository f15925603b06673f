"""The steps of the night, one implementation each: intake, convert, prepare, caption. No Celery, no clock.

The local run and the fleet both call these; what differs is who calls them and when. Every step takes work that
was claimed in the ledger and gives outcomes to settle there; none raises for what one object or study does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from db.ledger import Ledger
from db.records import (
    FindingFact,
    InputFact,
    InstanceFact,
    InstanceRow,
    Lane,
    ListedObject,
    ObjectOutcome,
    ObjectState,
    ObjectWork,
    ReportFact,
    RevisionOutcome,
    RevisionState,
    RevisionWork,
    StudyFact,
)
from pipeline.assembly import Assembly, Candidate, assemble, refusal
from pipeline.bucket import Bucket
from pipeline.conversion import convert
from pipeline.errors import BadObject, NightreadError, NotForUs, ObjectChanged, Unavailable
from pipeline.manifest import Accepts
from pipeline.study import (
    Converted,
    Dead,
    Header,
    ObjectRef,
    Outcome,
    Pixels,
    Preprocessing,
    Projection,
    Report,
    Reported,
    RetryLater,
    Skipped,
    Study,
)
from worker.pseudonyms import Pseudonyms
from worker.retry import Fate, delay_after, fate_of
from worker.triage import Triage

PAGE = 1000  # objects a transaction


class ViewCache(Protocol):
    """Where views are kept between the steps. Calls may block on a disk and raise Unavailable."""

    def put(self, sha256: str, preprocessing: Preprocessing, pixels: Pixels) -> None:
        """Keep a view; whole or not at all."""

    def get(self, sha256: str, preprocessing: Preprocessing) -> Pixels | None:
        """The view, or None where it was never kept, was cleaned away or is damaged."""


class Captions(Protocol):
    """What the captioning step needs of a model. May block for as long as the device works."""

    def caption(self, studies: Sequence[Study]) -> list[Outcome]:
        """One outcome per study, in order; never raises for what a study does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A claimed revision whose views are loaded."""

    work: RevisionWork
    study: Study
    assembly: Assembly


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What converting needs; the same in a pool process and in a fleet's worker."""

    bucket: Bucket
    cache: ViewCache
    preprocessing: Preprocessing
    pseudonyms: Pseudonyms
    triage: Triage


def intake(ledger: Ledger, bucket: Bucket, on_page: Callable[[int, int], None]) -> int:
    """List the bucket into the ledger; calls `on_page(seen, new)` after each page. Returns objects seen."""
    page: list[ListedObject] = []
    seen = new = 0
    for ref in bucket.list():
        page.append(ListedObject(key=ref.key, etag=ref.etag, size=ref.size, last_modified=ref.last_modified))
        if len(page) == PAGE:
            seen, new = seen + len(page), new + ledger.record_objects(bucket.name, page)
            on_page(seen, new)
            page.clear()
    seen, new = seen + len(page), new + ledger.record_objects(bucket.name, page)
    on_page(seen, new)
    return seen


def convert_object(desk: Desk, work: ObjectWork) -> ObjectOutcome:
    """Read one object once and keep its view."""
    if desk.triage.is_marker(work.key):
        reason = "a marker: it says that its folder is complete"
        return ObjectOutcome(object_id=work.object_id, state=ObjectState.SKIPPED, reason=reason)
    try:
        with desk.bucket.open(_ref(work)) as stream:
            conversion = convert(stream, size=work.size, preprocessing=desk.preprocessing)
        if isinstance(conversion, Converted):
            desk.cache.put(conversion.sha256, desk.preprocessing, conversion.view.pixels)
    except ObjectChanged:
        reason = "the object was deleted or replaced after it was listed; a later listing finds what is there then"
        return ObjectOutcome(object_id=work.object_id, state=ObjectState.GONE, reason=reason)
    except NightreadError as error:
        return _refused_by(work, error)
    lane = desk.triage.lane(work.key, work.last_modified, datetime.now(UTC))
    if isinstance(conversion, Converted):
        return ObjectOutcome(
            object_id=work.object_id,
            state=ObjectState.CONVERTED,
            study=_study_fact(conversion.header, desk.pseudonyms, lane),
            instance=_instance_fact(conversion.header, conversion.sha256, conversion.view.notes),
        )
    header = conversion.header
    return ObjectOutcome(
        object_id=work.object_id,
        state=ObjectState.FAILED if conversion.failed else ObjectState.SKIPPED,
        reason=conversion.reason,
        study=_study_fact(header, desk.pseudonyms, lane) if header else None,
        instance=_instance_fact(header, None, ()) if header else None,
    )


def _refused_by(work: ObjectWork, error: NightreadError) -> ObjectOutcome:
    match fate_of(error):
        case Fate.RETRY:
            state, delay = ObjectState.PENDING, delay_after(work.attempts)
        case Fate.DEAD:
            state, delay = ObjectState.SKIPPED if isinstance(error, NotForUs) else ObjectState.FAILED, 0.0
        case Fate.CRASH:
            raise error
    return ObjectOutcome(object_id=work.object_id, state=state, reason=str(error), retry_in=delay)


def prepare(desk: Desk, work: RevisionWork, *, accepts: Accepts, model: str) -> Prepared | RevisionOutcome:
    """Choose a revision's views and load them; a study the model does not accept is settled here."""
    candidates = tuple(_candidate(instance) for instance in work.instances)
    assembly = assemble(candidates, accepts, label=model)
    if reason := refusal(candidates, assembly, accepts, label=model):
        return RevisionOutcome(revision_id=work.revision_id, state=RevisionState.SKIPPED, reason=reason)
    instances = {instance.instance_id: instance for instance in work.instances}
    try:
        frontal, lateral = (
            _load(desk, instances[chosen]) if chosen is not None else None
            for chosen in (assembly.frontal, assembly.lateral)
        )
    except NightreadError as error:
        return _ended_by(work, error)
    return Prepared(
        work=work,
        study=Study(key=work.revision_id, frontal=frontal, lateral=lateral),
        assembly=assembly,
    )


def caption(captioner: Captions, batch: Sequence[Prepared]) -> list[RevisionOutcome]:
    """Caption prepared revisions: one outcome each."""
    outcomes = captioner.caption([prepared.study for prepared in batch])
    return [_settled(prepared, outcome) for prepared, outcome in zip(batch, outcomes, strict=True)]


def _settled(prepared: Prepared, outcome: Outcome) -> RevisionOutcome:
    match outcome:
        case Reported(report=report):
            return RevisionOutcome(
                revision_id=prepared.work.revision_id,
                state=RevisionState.REPORTED,
                report=_report_fact(report, prepared.assembly),
            )
        case Skipped(reason=reason):
            return RevisionOutcome(revision_id=outcome.key, state=RevisionState.SKIPPED, reason=reason)
        case Dead(reason=reason):
            return RevisionOutcome(revision_id=outcome.key, state=RevisionState.FAILED, reason=reason)
        case RetryLater(reason=reason):
            return _later(prepared.work, reason)


def _ended_by(work: RevisionWork, error: NightreadError) -> RevisionOutcome:
    match fate_of(error):
        case Fate.RETRY:
            return _later(work, str(error))
        case Fate.DEAD:
            return RevisionOutcome(revision_id=work.revision_id, state=RevisionState.FAILED, reason=str(error))
        case Fate.CRASH:
            raise error


def _later(work: RevisionWork, reason: str) -> RevisionOutcome:
    return RevisionOutcome(
        revision_id=work.revision_id,
        state=RevisionState.WAITING,
        reason=reason,
        retry_in=delay_after(work.attempts),
    )


def _load(desk: Desk, instance: InstanceRow) -> Pixels:
    """The cached view; made anew from the object where the cache has lost it."""
    pixels = desk.cache.get(instance.sha256, desk.preprocessing)
    if pixels is not None:
        return pixels
    lost = f"the view of object {instance.object_id} is no longer in the cache"
    if instance.bucket != desk.bucket.name:
        raise Unavailable(f"{lost}, and the object is of another source; run with that source again")
    try:
        with desk.bucket.open(_ref(instance)) as stream:
            conversion = convert(stream, size=instance.size, preprocessing=desk.preprocessing)
    except ObjectChanged as error:
        raise BadObject(f"{lost}, and the object was deleted or replaced since it was converted") from error
    if not isinstance(conversion, Converted):
        raise BadObject(f"{lost}, and converting it again says: {conversion.reason}")
    if conversion.sha256 != instance.sha256:
        raise BadObject(f"{lost}, and its bytes are no longer those with SHA-256 {instance.sha256}")
    desk.cache.put(conversion.sha256, desk.preprocessing, conversion.view.pixels)
    return conversion.view.pixels


def _ref(item: ObjectWork | InstanceRow) -> ObjectRef:
    return ObjectRef(key=item.key, etag=item.etag, size=item.size, last_modified=item.last_modified)


def _candidate(instance: InstanceRow) -> Candidate:
    return Candidate(
        id=instance.instance_id,
        sop_instance_uid=instance.sop_instance_uid,
        projection=Projection(instance.projection),
        projection_source=instance.projection_source,
        rows=instance.rows,
        columns=instance.columns,
        body_part_examined=instance.body_part_examined,
        modality=instance.modality,
        last_modified=instance.last_modified,
        sha256=instance.sha256,
    )


def _study_fact(header: Header, pseudonyms: Pseudonyms, lane: Lane) -> StudyFact:
    return StudyFact(
        study_instance_uid=header.study_instance_uid,
        study_date=header.study_date,
        modality=header.modality,
        study_description=header.study_description,
        patient_id=pseudonyms("patient_id", header.patient_id),
        patient_name=pseudonyms("patient_name", header.patient_name),
        accession_number=pseudonyms("accession_number", header.accession_number),
        lane=lane,
    )


def _instance_fact(header: Header, sha256: str | None, notes: tuple[str, ...]) -> InstanceFact:
    return InstanceFact(
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        photometric_interpretation=header.photometric_interpretation,
        rows=header.rows,
        columns=header.columns,
        body_part_examined=header.body_part_examined,
        projection=header.projection.value,
        projection_source=header.projection_source,
        sha256=sha256,
        notes=notes,
    )


def _report_fact(report: Report, assembly: Assembly) -> ReportFact:
    return ReportFact(
        findings=report.findings,
        impression=report.impression,
        confidence=report.confidence,
        statements=tuple(
            FindingFact(label=item.label, polarity=item.polarity.value, sentence=item.sentence)
            for item in report.statements
        ),
        inputs=tuple(
            InputFact(instance_id=choice.id, used=choice.used, reason=choice.reason) for choice in assembly.choices
        ),
        concepts=report.concepts,
    )
