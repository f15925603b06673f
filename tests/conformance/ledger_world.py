"""A small world for the ledger's tests: objects that arrive, workers that settle them, a model that reports.

Works on any engine; the tests that use it run on each.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine, event, text

from db.ledger import Ledger
from db.records import (
    FindingFact,
    InferenceRunFact,
    InputFact,
    InstanceFact,
    ListedObject,
    ModelVersionFact,
    ObjectOutcome,
    ObjectState,
    ObjectWork,
    ReportFact,
    RevisionOutcome,
    RevisionState,
    RevisionWork,
    StudyFact,
)
from db.registry import Registry
from db.release import Patience

BUCKET = "archive"
OWNER = "host:1"
DECODING = sha256(b"greedy").hexdigest()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def digest(word: str) -> str:
    """A SHA-256 to stand for some bytes."""
    return sha256(word.encode()).hexdigest()


def listed(key: str, *, etag: str = "e1", age: timedelta = timedelta(days=1)) -> ListedObject:
    """An object as a listing names it."""
    return ListedObject(key=key, etag=etag, size=1000, last_modified=datetime.now(UTC) - age)


def study_fact(uid: str, *, modality: str = "DX") -> StudyFact:
    """What a header says of its study."""
    return StudyFact(
        study_instance_uid=uid,
        study_date=date(2024, 5, 1),
        modality=modality,
        study_description="CHEST PA",
        patient_id="p-1",
        patient_name="n-1",
        accession_number="a-1",
    )


def instance_fact(sop: str, *, content: str | None = None, projection: str = "frontal") -> InstanceFact:
    """What a header says of its instance; `content` stands for the bytes."""
    return InstanceFact(
        sop_instance_uid=sop,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid="1.2.3.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        photometric_interpretation="MONOCHROME2",
        rows=512,
        columns=400,
        body_part_examined="CHEST",
        projection=projection,
        projection_source="ViewPosition",
        sha256=digest(content if content is not None else sop),
        notes=("no window: 0.5–99.5 percentile",),
        projection_confidence=0.93,
        standing={"beam": "PA", "models": ["champion"]},
    )


def converted(work: ObjectWork, uid: str, *, sop: str | None = None, content: str | None = None) -> ObjectOutcome:
    """The object became a view of study `uid`."""
    return ObjectOutcome(
        object_id=work.object_id,
        state=ObjectState.CONVERTED,
        study=study_fact(uid),
        instance=instance_fact(sop or f"{uid}.{work.key}", content=content),
    )


def refused(work: ObjectWork, state: ObjectState, reason: str, uid: str | None = None) -> ObjectOutcome:
    """The object did not become a view; its header was readable when `uid` is given."""
    return ObjectOutcome(
        object_id=work.object_id,
        state=state,
        reason=reason,
        study=study_fact(uid, modality="SR") if uid else None,
        instance=instance_fact(f"{uid}.{work.key}") if uid else None,
    )


def report_fact(work: RevisionWork, *, findings: str = "The lungs are clear.") -> ReportFact:
    """A report made from all instances of a revision."""
    return ReportFact(
        findings=findings,
        impression="No acute disease.",
        confidence=-0.25,
        statements=(FindingFact(label="effusion", polarity="absent", sentence="No effusion."),),
        inputs=tuple(
            InputFact(instance_id=item.instance_id, used=True, reason=item.projection) for item in work.instances
        ),
        concepts={"effusion": 0.1},
    )


def reported(work: RevisionWork, *, findings: str = "The lungs are clear.") -> RevisionOutcome:
    """The revision has a report."""
    return RevisionOutcome(
        revision_id=work.revision_id, state=RevisionState.REPORTED, report=report_fact(work, findings=findings)
    )


def model_fact(*, version: str = "1", weights: str = "weights") -> ModelVersionFact:
    """A model version."""
    return ModelVersionFact(
        name="starter",
        version=version,
        device_uid=f"1.2.826.{version}",
        architecture="attention",
        weights_sha256=digest(weights),
        tokenizer_sha256=digest("tokenizer"),
        preprocessing_sha256=digest("preprocessing"),
        training_manifest_sha256=digest("manifest"),
        git_commit="abc",
        metrics={"cider": 0.5},
        license="CC0",
    )


def run_fact(model_version_id: int) -> InferenceRunFact:
    """The circumstances of a run."""
    return InferenceRunFact(
        model_version_id=model_version_id,
        worker=OWNER,
        device="cpu",
        driver="",
        torch_version="2.13",
        dtype="float32",
        batch_size=8,
        decoding={"beam": 1},
        decoding_sha256=DECODING,
        code_version="0.1.0+abc",
        trigger="run",
    )


@dataclass(frozen=True, kw_only=True)
class World:
    """A ledger with a registered model and a run."""

    engine: Engine
    ledger: Ledger
    registry: Registry
    model_version_id: int
    run_id: int

    def arrive(self, *keys: str, age: timedelta = timedelta(days=1)) -> list[ObjectWork]:
        """New objects, listed and claimed."""
        self.ledger.record_objects(BUCKET, [listed(key, age=age) for key in keys])
        return self.claim()

    def claim(self, *, owner: str = OWNER, limit: int = 1000, lease: float = 60) -> list[ObjectWork]:
        """Claim what is pending."""
        return self.ledger.claim_objects(owner=owner, limit=limit, lease_seconds=lease)

    def convert(self, **studies: Sequence[str]) -> None:
        """New objects of studies, listed, claimed and converted: `convert(s1=["s1/a", "s1/b"])`."""
        home = {key: uid for uid, keys in studies.items() for key in keys}
        works = self.arrive(*home)
        self.ledger.settle_objects([converted(work, home[work.key]) for work in works], owner=OWNER)

    def release(self, *, quiet: float = 60, longest: float | None = None) -> int:
        """Release what is complete."""
        return self.ledger.release(Patience(quiet=quiet, longest=longest))

    def take(self, *, owner: str = OWNER, limit: int = 1000, lease: float = 60) -> list[RevisionWork]:
        """Claim what waits for a report."""
        return self.ledger.claim_revisions(owner=owner, limit=limit, lease_seconds=lease)

    def settle(self, *outcomes: RevisionOutcome, owner: str = OWNER) -> None:
        """Settle revisions with this world's model."""
        self.ledger.settle_revisions(
            outcomes,
            owner=owner,
            run_id=self.run_id,
            model_version_id=self.model_version_id,
            decoding_sha256=DECODING,
        )

    def report_all(self) -> None:
        """Report whatever waits."""
        self.settle(*(reported(work) for work in self.take()))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def one(self, query: str) -> Any:
        """The only value of a query."""
        ((value,),) = self.rows(query)
        return value

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The statements that the block sends."""
        seen: list[str] = []

        def note(_c: object, _k: object, statement: str, _p: object, _x: object, _m: object) -> None:
            if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK", "SET LOCAL")):
                seen.append(statement)

        event.listen(self.engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(self.engine, "before_cursor_execute", note)


def make_world(engine: Engine) -> World:
    """A world on a database whose schema is there."""
    registry = Registry(engine)
    model_version_id = registry.register_model(model_fact())
    return World(
        engine=engine,
        ledger=Ledger(engine),
        registry=registry,
        model_version_id=model_version_id,
        run_id=registry.start_run(run_fact(model_version_id)),
    )
