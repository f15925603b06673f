"""Work as the ledger hands it out, for tests without a ledger; and what a pool of processes made of it."""

import time

from db.records import ObjectOutcome, ObjectWork
from pipeline.bucket import Bucket
from pipeline.study import ObjectRef
from worker.pool import ConverterPool


def work_on(bucket: Bucket, ref: ObjectRef, *, object_id: int = 1, attempts: int = 0) -> ObjectWork:
    """One listed object to convert."""
    return ObjectWork(
        object_id=object_id,
        bucket=bucket.name,
        key=ref.key,
        etag=ref.etag,
        size=ref.size,
        last_modified=ref.last_modified,
        attempts=attempts,
    )


def collect(pool: ConverterPool, *, seconds: float) -> dict[int, ObjectOutcome]:
    """All outcomes, by object; fails where one is not there in time."""
    outcomes: dict[int, ObjectOutcome] = {}
    deadline = time.monotonic() + seconds
    while pool.in_hand and time.monotonic() < deadline:
        outcomes |= {outcome.object_id: outcome for outcome in pool.collect(timeout=1)}
    assert not pool.in_hand
    return outcomes
