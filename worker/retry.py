"""Three kinds of failure and only three: retry later, never retry, crash. One table decides.

A crash is a fault of ours: it is not caught, the process ends, and the lease frees the work.
"""

from enum import Enum

from db.errors import DatabaseError
from pipeline.errors import BadObject, CheckpointError, Unavailable, UsageError


class Fate(Enum):
    """What becomes of work that raised."""

    RETRY = "retry"
    DEAD = "dead"
    CRASH = "crash"


_TABLE: tuple[tuple[type[BaseException], Fate], ...] = (
    (Unavailable, Fate.RETRY),
    (BadObject, Fate.DEAD),
    (UsageError, Fate.CRASH),
    (CheckpointError, Fate.CRASH),
    (DatabaseError, Fate.CRASH),  # without the ledger no outcome can be kept: stop, and let leases free the work
)

FIRST_DELAY = 60.0  # seconds
LONGEST_DELAY = 3600.0


def fate_of(error: BaseException) -> Fate:
    """Decide what an error means for the work that met it."""
    return next((fate for kind, fate in _TABLE if isinstance(error, kind)), Fate.CRASH)


def delay_after(attempts: int) -> float:
    """Seconds to wait after so many failed attempts: doubling from a minute to an hour."""
    doublings = min(attempts, 6)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


class Breaker:
    """Stops a run whose work fails without exception: then the fault is not in the work.

    Counts failures in succession; one success closes it again.
    """

    def __init__(self, limit: int = 20) -> None:
        self._limit = limit
        self._failures = 0

    def record(self, *, failed: bool) -> None:
        """Tell the breaker how one piece of work ended."""
        self._failures = self._failures + 1 if failed else 0

    @property
    def is_open(self) -> bool:
        """Whether to stop."""
        return self._failures >= self._limit
