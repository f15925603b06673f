"""The fleet's real processes without pixels and model: what is left is messages and ledger.

    python -m tests.overhead_stand_ins intake|convert|caption|beat

Each is the process that `nightread` starts, with three things replaced: the bucket answers from memory, the
converting pool answers at once with the facts of a chest image, and the model with one and the same report.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, BinaryIO
from unittest.mock import patch

from db.records import Lane, ObjectOutcome, ObjectWork, RevisionOutcome, RevisionWork
from pipeline.study import ObjectRef, Study
from tests.conformance.ledger_world import converted, reported, run_fact
from worker import fleet
from worker.bootstrap import Site
from worker.captioning import Bench
from worker.provenance import model_fact
from worker.settings import load_settings
from worker.steps import Prepared

BUCKET = "overhead"
PREFIX = "in/"


class InstantBucket:
    """Holds every object that it is asked for."""

    name = f"s3://{BUCKET}"
    prefix = PREFIX

    def list(self, *, after: str = "", within: str = "") -> Iterator[ObjectRef]:
        """Nothing: events tell of all."""
        return iter(())

    def stat(self, key: str) -> ObjectRef | None:
        """It is there."""
        return ObjectRef(key=key, etag="e", size=130_000, last_modified=datetime.now(UTC))

    def open(self, ref: ObjectRef) -> AbstractContextManager[BinaryIO]:
        """Never asked for."""
        raise NotImplementedError


class InstantPool:
    """Converts at once."""

    pids = ()

    def __init__(self, _spec: object, *, processes: int, depth: int) -> None:
        self._most = processes * depth
        self._done: list[ObjectOutcome] = []

    @property
    def room(self) -> int:
        """All of it, once it was collected."""
        return 0 if self._done else self._most

    @property
    def in_hand(self) -> int:
        """What was not collected."""
        return len(self._done)

    def submit(self, chunk: Sequence[ObjectWork]) -> None:
        """The folder of a key is its study."""
        self._done += [converted(work, work.key.rpartition("/")[0]) for work in chunk]

    def collect(self, _timeout: float) -> list[ObjectOutcome]:
        """All of it."""
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Nothing to end."""


def instant_bench(site: Site, _spec: object, owner: str, **given: Any) -> Bench:
    """A bench without a model."""
    model = site.registry.register_model(model_fact(site.manifest))
    return Bench(
        desk=None,  # type: ignore[arg-type]  # nothing is loaded
        captioner=None,  # type: ignore[arg-type]
        accepts=site.manifest.accepts,
        model=site.manifest.title,
        batch_size=site.settings.batch_size,
        owner=owner,
        lease_seconds=site.settings.lease_seconds,
        run_id=site.registry.start_run(run_fact(model)),
        model_version_id=model,
        decoding_sha256=run_fact(model).decoding_sha256,
        device="none",
        ledger=given["ledger"],
        lanes=given["lanes"],
        metrics=given["metrics"],
    )


def instant_prepare(_desk: object, work: RevisionWork, **_given: object) -> Prepared:
    """No view is loaded."""
    study = Study(key=work.revision_id, frontal=None, lateral=None)
    return Prepared(work=work, study=study, assembly=None, told={})  # type: ignore[arg-type]


def instant_caption(_captioner: object, batch: Sequence[Prepared]) -> list[RevisionOutcome]:
    """The same words for each."""
    return [reported(prepared.work) for prepared in batch]


def main(kind: str) -> int:
    """Run one process of the fleet."""
    with (
        patch.object(Site, "bucket", InstantBucket()),
        patch("worker.fleet.ConverterPool", InstantPool),
        patch("worker.fleet.caption_bench", instant_bench),
        patch("worker.captioning.prepare", instant_prepare),
        patch("worker.captioning.caption", instant_caption),
    ):
        settings = load_settings()
        run: dict[str, Callable[[], int]] = {
            "intake": lambda: fleet.run_intake(settings),
            "convert": lambda: fleet.run_converter(settings),
            "caption": lambda: fleet.run_captioner(settings, list(Lane)),
            "beat": lambda: fleet.run_beat(settings),
        }
        return run[kind]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
