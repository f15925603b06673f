"""The ledger: what there is to do, who does it, and what became of it. The truth that messages only hint at.

One method, one transaction, unless it says otherwise; a process that dies leaves a method done or not done.
Raises only `db.errors`. Every method may be called by any number of processes at once, and again with the same
arguments. Knows no bucket, no pixels and no model.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Literal

from sqlalchemy import Connection, Engine

from db import accounts, backgrounds, backlog, breaker, browse, leases, locks, objects, revisions
from db import release as releasing
from db.backlog import TABLES, QueueName
from db.breaker import HasWork
from db.engine import reading, writing
from db.entries import Failure, StudyCounts, StudyEntry
from db.lanes import Lanes
from db.leases import Swept
from db.records import (
    Balance,
    Lane,
    ListedObject,
    ObjectOutcome,
    ObjectState,
    ObjectWork,
    RevisionOutcome,
    RevisionWork,
)
from db.release import Patience
from db.reports import Maker
from db.tables import Object, StudyRevision

BATCH = 1000  # rows of a statement, and studies of a transaction


class Ledger:
    """The work of one database."""

    def __init__(self, engine: Engine, *, keeps_indications: bool = False) -> None:
        """`keeps_indications`: also of studies that are done; else their text is erased with the outcome."""
        self._engine = engine
        self._keeps_indications = keeps_indications

    def record_objects(self, bucket: str, listed: Iterable[ListedObject]) -> int:
        """Add what a listing or an event found; how many objects are new. One transaction for each 1,000."""
        source, new = iter(listed), 0
        while batch := list(islice(source, BATCH)):
            with writing(self._engine) as connection:
                new += len(objects.record(connection, bucket, batch))
        return new

    def mark_removed(self, bucket: str, keys: Sequence[str]) -> int:
        """Objects that were deleted before they were read have no work left; how many."""
        with writing(self._engine) as connection:
            return objects.remove(connection, bucket, keys)

    def claim_objects(
        self,
        *,
        owner: str,
        limit: int,
        lease_seconds: float,
        bucket: str | None = None,
        heeds_pause: bool = False,
    ) -> list[ObjectWork]:
        """Lease pending objects that are due, of one bucket or any: those that failed least first, then by id.

        An expired lease is free to anyone. `heeds_pause`: nothing while someone paused converting.
        """
        with writing(self._engine) as connection:
            if heeds_pause and breaker.is_paused(connection, backlog.CONVERT):
                return []
            return objects.claim(connection, bucket=bucket, owner=owner, limit=limit, lease_seconds=lease_seconds)

    def settle_objects(self, outcomes: Sequence[ObjectOutcome], *, owner: str) -> None:
        """Write what became of claimed objects, their studies and instances.

        An outcome whose lease went to another owner, or that was settled before, changes nothing.

        Raises:
            ProvenanceMissing: A converted object comes without study, instance or SHA-256; nothing was written.
        """
        with writing(self._engine) as connection:
            objects.settle(connection, outcomes, owner=owner)

    def release(self, patience: Patience, *, limit: int | None = None) -> int:
        """Turn complete studies into revisions; how many are new. One transaction for each 1,000 studies.

        `limit`: look at no more than so many complete studies.
        """
        after, released, left = 0, 0, limit
        while left is None or left > 0:
            size = BATCH if left is None else min(BATCH, left)
            with writing(self._engine) as connection:
                batch = releasing.release(connection, patience, after=after, limit=size)
                self._forget(connection, batch.unchanged)
            released += batch.released
            if batch.last_study_id is None:
                break
            after, left = batch.last_study_id, None if left is None else left - size
        return released

    def claim_revisions(
        self, *, owner: str, limit: int, lease_seconds: float, lanes: Lanes | None = None
    ) -> list[RevisionWork]:
        """Lease revisions that wait for a report, with the converted instances they were made of.

        Oldest first; with `lanes`, as they share, and nothing while an operator or the breaker paused captioning.
        """
        with writing(self._engine) as connection:
            if lanes is not None and breaker.is_paused(connection, backlog.CAPTION):
                return []
            return revisions.claim(connection, owner=owner, limit=limit, lease_seconds=lease_seconds, lanes=lanes)

    def settle_revisions(
        self,
        outcomes: Sequence[RevisionOutcome],
        *,
        owner: str,
        run_id: int,
        model_version_id: int,
        decoding_sha256: str,
    ) -> None:
        """Write what became of claimed revisions: reports, findings, inputs and states, all or nothing.

        An outcome whose lease went to another owner, or that was settled before, changes nothing; a revision that
        was superseded meanwhile stays superseded.

        Raises:
            ProvenanceMissing: A report names no used input, or one that is not its revision's; nothing was
                written.
        """
        maker = Maker(
            worker=owner, run_id=run_id, model_version_id=model_version_id, decoding_sha256=decoding_sha256
        )
        with writing(self._engine) as connection:
            self._forget(connection, revisions.settle(connection, outcomes, owner=owner, maker=maker))

    def _forget(self, connection: Connection, study_ids: Sequence[int]) -> None:
        if study_ids and not self._keeps_indications:
            backgrounds.forget(connection, study_ids)

    def write_shadows(
        self,
        outcomes: Sequence[RevisionOutcome],
        *,
        owner: str,
        run_id: int,
        model_version_id: int,
        decoding_sha256: str,
    ) -> int:
        """Write the reports of a model on trial, which never are current; how many are new. Needs no lease.

        Raises:
            ProvenanceMissing: A report names no used input, or one that is not its revision's; nothing was
                written.
        """
        maker = Maker(
            worker=owner, run_id=run_id, model_version_id=model_version_id, decoding_sha256=decoding_sha256
        )
        with writing(self._engine) as connection:
            return revisions.settle_shadows(connection, outcomes, maker=maker)

    def free_leases(self, owner_prefix: str) -> int:
        """End the leases of owners that are known to be dead; counts no failed attempt."""
        with writing(self._engine) as connection:
            return sum(leases.free(connection, table, owner_prefix) for table in (Object, StudyRevision))

    def hasten(self) -> int:
        """Make deferred work due now: somebody mended what it was waiting for, or asks to see."""
        with writing(self._engine) as connection:
            return sum(leases.hasten(connection, table) for table in (Object, StudyRevision))

    def sweep(self, *, most_crashes: int) -> dict[QueueName, Swept]:
        """Free work whose lease ran out, 1,000 of a queue at most; after `most_crashes` it is given up."""
        with writing(self._engine) as connection:
            return {queue: leases.sweep(connection, table, most=most_crashes) for queue, table in TABLES.items()}

    def has_work(self, *, lanes: Sequence[Lane]) -> HasWork:
        """Whether a convert or a caption worker would find something to claim now."""
        with reading(self._engine) as connection:
            return breaker.has_work(connection, lanes)

    def trip(self, *, share: float, least: int) -> list[str]:
        """Pause each queue whose last ten minutes failed too often; one line for each that was paused just now."""
        with writing(self._engine) as connection:
            return breaker.trip(connection, share=share, least=least)

    def run_lock(self, name: str) -> AbstractContextManager[None]:
        """Hold the database for one run; ends with the process at the latest. Raises RunInProgress when held."""
        return locks.run_lock(self._engine, name)

    def balance(self) -> Balance:
        """Everything counted, with the reasons of what was skipped or failed."""
        with reading(self._engine) as connection:
            return accounts.balance(connection)

    def counts(self) -> StudyCounts:
        """Where the studies stand, cheap enough to ask every second."""
        with reading(self._engine) as connection:
            return accounts.counts(connection)

    def failures(self, limit: int) -> list[Failure]:
        """Up to `limit` studies and objects that failed for good, studies first."""
        with reading(self._engine) as connection:
            return accounts.failures(connection, limit)

    def retry(self, *, what: Literal["objects", "studies", "all", "skipped"], actor: str = "operator") -> int:
        """Put what failed, or the objects that were skipped, back to work with attempts forgotten; how many."""
        with writing(self._engine) as connection:
            retried = 0
            if what in {"objects", "all"}:
                retried += accounts.retry_objects(connection, actor)
            if what == "skipped":
                retried += accounts.retry_objects(connection, actor, ObjectState.SKIPPED)
            if what in {"studies", "all"}:
                retried += accounts.retry_studies(connection, actor)
            return retried

    def study_entries(
        self, *, section: str | None = None, limit: int | None = None, batch_size: int = 200
    ) -> Iterator[StudyEntry]:
        """Studies at their newest revision, the newest first; one transaction of three queries for each batch.

        Args:
            section: failed, skipped, waiting or reported; None for all, in that order.
            limit: At most so many.
            batch_size: Studies of a transaction.
        """
        sections = browse.SECTIONS if section is None else (section,)
        states = [state for name in sections for state in browse.SECTIONS[name]]
        return islice(self._entries(states, batch_size if limit is None else min(batch_size, limit)), limit)

    def _entries(self, states: Sequence[str | None], batch_size: int) -> Iterator[StudyEntry]:
        for state in states:
            before = sys.maxsize
            while True:
                with reading(self._engine) as connection:
                    batch = browse.batch(connection, state, before=before, limit=batch_size)
                yield from batch
                if len(batch) < batch_size:
                    break
                before = batch[-1].study_id
