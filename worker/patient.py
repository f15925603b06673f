"""A ledger that waits for its database: a fleet's worker outlives a restart of the server.

What was worked on is settled when the database is back, as long as the lease may still hold; beyond that the error
goes up, and somebody else does the work again. Settling twice changes nothing, so a commit whose answer was lost
may be repeated.
"""

from collections.abc import Sequence

import structlog
from sqlalchemy import Engine
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from db.errors import DatabaseError
from db.ledger import Ledger
from db.records import ObjectOutcome, RevisionOutcome

LONGEST_PAUSE = 5.0  # seconds

log = structlog.get_logger()


class PatientLedger(Ledger):
    """The ledger, settling with patience."""

    def __init__(
        self,
        engine: Engine,
        *,
        patience_seconds: float,
        longest_pause: float = LONGEST_PAUSE,
        keeps_indications: bool = False,
    ) -> None:
        super().__init__(engine, keeps_indications=keeps_indications)
        self._retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=wait_random_exponential(multiplier=0.5, max=longest_pause),
            stop=stop_after_delay(patience_seconds),
            before_sleep=_tell,
            reraise=True,
        )

    def settle_objects(self, outcomes: Sequence[ObjectOutcome], *, owner: str) -> None:
        """As the ledger does, again until it succeeds or the lease is over."""
        self._retrying(super().settle_objects, outcomes, owner=owner)

    def settle_revisions(
        self,
        outcomes: Sequence[RevisionOutcome],
        *,
        owner: str,
        run_id: int,
        model_version_id: int,
        decoding_sha256: str,
    ) -> None:
        """As the ledger does, again until it succeeds or the lease is over."""
        self._retrying(
            super().settle_revisions,
            outcomes,
            owner=owner,
            run_id=run_id,
            model_version_id=model_version_id,
            decoding_sha256=decoding_sha256,
        )


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, DatabaseError) and error.retryable


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("settling_again", attempt=state.attempt_number, reason=str(error))
