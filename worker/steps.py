"""The steps of the night, one implementation each: intake, convert, prepare, caption. No Celery, no clock.

The local run and the fleet both call these; what differs is who calls them and when. Every step takes work that
was claimed in the ledger and gives outcomes to settle there; none raises for what one object or study does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Protocol

from db.ledger import Ledger
from db.records import (
    InstanceRow,
    Lane,
    ListedObject,
    ObjectOutcome,
    ObjectState,
    ObjectWork,
    RevisionOutcome,
    RevisionState,
    RevisionWork,
)
from pipeline.assembly import Assembly, assemble, refusal
from pipeline.bucket import Bucket
from pipeline.conversion import convert
from pipeline.errors import BadObject, NightreadError, NotForUs, ObjectChanged, Unavailable
from pipeline.handling import AS_SHIPPED, Handling
from pipeline.manifest import Accepts
from pipeline.sidecar import is_sidecar, read_sidecar
from pipeline.study import (
    Background,
    Conversion,
    Converted,
    Dead,
    ObjectRef,
    Outcome,
    Pixels,
    Preprocessing,
    Reported,
    RetryLater,
    Skipped,
    Study,
)
from worker import facts
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
    told: dict[str, str | float]  # what the model is told beside its views, named as a report keeps it


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What converting needs; the same in a pool process and in a fleet's worker."""

    bucket: Bucket
    cache: ViewCache
    preprocessing: Preprocessing
    pseudonyms: Pseudonyms
    triage: Triage
    takes_indication: bool = True  # else no free text is stored or told to a model
    handling: Handling = AS_SHIPPED


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
            if is_sidecar(work.key):
                return _take_sidecar(desk, work, stream)
            conversion = _convert(desk, stream, work.size)
        if isinstance(conversion, Converted):
            desk.cache.put(conversion.sha256, desk.preprocessing, conversion.view.pixels)
    except ObjectChanged:
        reason = "the object was deleted or replaced after it was listed; a later listing finds what is there then"
        return ObjectOutcome(object_id=work.object_id, state=ObjectState.GONE, reason=reason)
    except NightreadError as error:
        return _refused_by(work, error)
    return _converted(desk, work, conversion)


def _convert(desk: Desk, stream: BinaryIO, size: int) -> Conversion:
    return convert(stream, size=size, preprocessing=desk.preprocessing, handling=desk.handling)


def _converted(desk: Desk, work: ObjectWork, conversion: Conversion) -> ObjectOutcome:
    lane = _lane(desk, work)
    if isinstance(conversion, Converted):
        return ObjectOutcome(
            object_id=work.object_id,
            state=ObjectState.CONVERTED,
            study=facts.study_fact(conversion.header, desk.pseudonyms, lane),
            instance=facts.converted_instance(conversion, with_indication=desk.takes_indication),
        )
    header = conversion.header
    return ObjectOutcome(
        object_id=work.object_id,
        state=ObjectState.FAILED if conversion.failed else ObjectState.SKIPPED,
        reason=conversion.reason,
        study=facts.study_fact(header, desk.pseudonyms, lane) if header else None,
        instance=facts.refused_instance(header) if header else None,
    )


def _take_sidecar(desk: Desk, work: ObjectWork, stream: BinaryIO) -> ObjectOutcome:
    sidecar = read_sidecar(stream, size=work.size)
    return ObjectOutcome(
        object_id=work.object_id,
        state=ObjectState.SKIPPED,
        reason="a sidecar: it tells of its study, and is no image",
        study=facts.sidecar_study(sidecar, _lane(desk, work)),
        instance=facts.sidecar_instance(sidecar, with_indication=desk.takes_indication),
    )


def _lane(desk: Desk, work: ObjectWork) -> Lane:
    return desk.triage.lane(work.key, work.last_modified, datetime.now(UTC))


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
    candidates = tuple(facts.candidate(instance) for instance in work.instances)
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
    background = Background()
    if accepts.background:
        background = facts.background(work.background, with_indication=desk.takes_indication)
    return Prepared(
        work=work,
        study=Study(key=work.revision_id, frontal=frontal, lateral=lateral, background=background),
        assembly=assembly,
        told=facts.named(background, desk.pseudonyms),
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
                report=facts.report_fact(report, prepared.assembly, told=prepared.told),
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
            conversion = _convert(desk, stream, instance.size)
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
