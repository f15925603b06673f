"""Converting: claims objects, keeps the processes busy, settles what they send. For the local run and the fleet.

Outcomes are settled together, so that a small object does not cost a transaction.
"""

import time
from collections.abc import Callable

from db.ledger import Ledger
from db.records import ObjectOutcome, ObjectState
from pipeline.errors import Unavailable
from worker.pool import ConverterPool
from worker.retry import Breaker

SETTLE_SECONDS = 0.5
WAIT = 0.2  # seconds for the first outcome


class Conversions:
    """Turns pending objects into settled ones, a little at each `advance`."""

    def __init__(
        self,
        ledger: Ledger,
        pool: ConverterPool,
        *,
        bucket: str,
        owner: str,
        lease_seconds: float,
        heeds_pause: bool = False,
        on_settled: Callable[[list[ObjectOutcome]], None] = lambda _: None,
    ) -> None:
        """`pool` is closed with this; it can read the objects of `bucket` only. `heeds_pause`: see the ledger."""
        self.claimed = 0  # objects so far
        self._heeds_pause = heeds_pause
        self._on_settled = on_settled
        self._bucket = bucket
        self._ledger = ledger
        self._pool = pool
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._buffer: list[ObjectOutcome] = []
        self._settled_at = time.monotonic()
        self._breaker = Breaker()
        self._fault = ""

    def advance(self, *, feed: bool) -> bool:
        """Claim (if `feed`), collect, settle. Returns whether anything is still in hand.

        Raises:
            Unavailable: when one object after the other could not be read: the bucket is gone, or the disk full.
        """
        if self._fault:
            fault, self._fault = self._fault, ""
            self._breaker.close()
            raise Unavailable(f"one object after the other could not be worked on, at last {fault}")
        if feed and (room := self._pool.room):
            self._claim(room)
        if not self._pool.in_hand:
            return self._settle()  # what was settled just now may have to be tried again
        self._buffer += self._pool.collect(WAIT)
        if time.monotonic() - self._settled_at >= SETTLE_SECONDS:
            self._settle()
        return True

    def _claim(self, room: int) -> None:
        work = self._ledger.claim_objects(
            bucket=self._bucket,
            owner=self._owner,
            limit=room,
            lease_seconds=self._lease_seconds,
            heeds_pause=self._heeds_pause,
        )
        self.claimed += len(work)
        self._pool.submit(work)

    def close(self) -> None:
        """End the processes and keep what had arrived; what they still had in hand stays claimed."""
        self._pool.close()
        self._settle()

    def _settle(self) -> bool:
        outcomes, self._buffer = self._buffer, []
        self._settled_at = time.monotonic()
        if outcomes:
            self._ledger.settle_objects(outcomes, owner=self._owner)
            self._on_settled(outcomes)
        for outcome in outcomes:
            self._breaker.record(failed=outcome.state is ObjectState.PENDING and outcome.retry_in > 0)
            if self._breaker.is_open:
                self._fault = f"object {outcome.object_id}: {outcome.reason}"
        return bool(outcomes)
