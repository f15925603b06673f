"""Between the pipeline's words and the ledger's: headers become facts, facts become candidates and backgrounds.

Identifying text becomes pseudonyms here, on the way into the ledger; an indication is free text, for which no
pseudonym can stand, so it is stored as it is or not at all. What a report's model was told is named by a digest.
"""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from db.records import (
    NO_IMAGE,
    BackgroundFact,
    FindingFact,
    InputFact,
    InstanceFact,
    InstanceRow,
    Lane,
    ReportFact,
    StudyFact,
)
from pipeline.assembly import Assembly
from pipeline.ranking import Candidate
from pipeline.sidecar import Sidecar
from pipeline.study import Background, Converted, Header, Processing, Projection, Report, Standing
from worker.pseudonyms import Pseudonyms


def candidate(instance: InstanceRow) -> Candidate:
    """A converted instance, as choosing views sees it."""
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
        standing=standing(instance.standing),
    )


def candidate_of(header: Header, *, id: int, last_modified: datetime, sha256: str) -> Candidate:  # noqa: A002
    """A converted object that no ledger knows, as choosing views sees it."""
    return Candidate(
        id=id,
        sop_instance_uid=header.sop_instance_uid,
        projection=header.projection,
        projection_source=header.projection_source,
        rows=header.rows or 0,
        columns=header.columns or 0,
        body_part_examined=header.body_part_examined,
        modality=header.modality,
        last_modified=last_modified,
        sha256=sha256,
        standing=header.standing,
    )


def standing(stored: dict[str, Any]) -> Standing:
    """As it was stored; what an instance of an older release lacks is not told."""
    told = {name: stored[name] for name in Standing.__dataclass_fields__ if name in stored}
    if "processing" in told:
        told["processing"] = Processing(told["processing"])
    if "models" in told:
        told["models"] = tuple(told["models"])
    return Standing(**told)


def study_fact(header: Header, pseudonyms: Pseudonyms, lane: Lane) -> StudyFact:
    """What a header says of its study."""
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


def refused_instance(header: Header) -> InstanceFact:
    """What a header says of an instance that is no view; nothing of its patient."""
    return _instance(header, None, (), BackgroundFact())


def converted_instance(conversion: Converted, *, with_indication: bool) -> InstanceFact:
    """What a header says of an instance that became a view, and of its study."""
    told = background_fact(conversion.header.background, with_indication=with_indication)
    return _instance(conversion.header, conversion.sha256, conversion.view.notes, told)


def _instance(
    header: Header, sha256: str | None, notes: tuple[str, ...], background: BackgroundFact
) -> InstanceFact:
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
        projection_confidence=header.projection_confidence,
        standing=_told(header.standing),
        sha256=sha256,
        notes=notes,
        background=background,
    )


def _told(one: Standing) -> dict[str, Any]:
    """What differs from an image of which nothing is told."""
    return {name: value for name, value in asdict(one).items() if value != getattr(Standing(), name)}


def sidecar_study(sidecar: Sidecar, lane: Lane) -> StudyFact:
    """The study that a sidecar is of; its images tell the rest."""
    return StudyFact(
        study_instance_uid=sidecar.study_instance_uid,
        study_date=None,
        modality="",
        study_description="",
        patient_id="",
        patient_name="",
        accession_number="",
        lane=lane,
    )


def sidecar_instance(sidecar: Sidecar, *, with_indication: bool) -> InstanceFact:
    """No image at all, but it tells of its study."""
    return replace(NO_IMAGE, background=background_fact(sidecar.background, with_indication=with_indication))


def background_fact(background: Background, *, with_indication: bool) -> BackgroundFact:
    """A background as it may be stored."""
    indication = background.indication if with_indication else ""
    return BackgroundFact(indication=indication, age=background.age, sex=background.sex)


def background(fact: BackgroundFact, *, with_indication: bool) -> Background:
    """A background as a model may be told it."""
    indication = fact.indication if with_indication else ""
    return Background(indication=indication, age=fact.age, sex=fact.sex)


def report_fact(report: Report, assembly: Assembly, *, told: dict[str, str | float]) -> ReportFact:
    """A report to be stored, with what it was made from; see `named`."""
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
        background=told,
    )


def named(told: Background, pseudonyms: Pseudonyms) -> dict[str, str | float]:
    """What a model is told, by field; free text as a keyed digest: a plain one of few words can be guessed."""
    fields: dict[str, str | float | None] = {
        "indication": pseudonyms.digest("indication", told.indication) if told.indication else None,
        "age": told.age,
        "sex": told.sex or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
