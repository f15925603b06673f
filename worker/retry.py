"""Three kinds of failure and only three: retry later, never retry, crash. One table decides.

A crash is a fault of ours: it is not caught, the process ends, and the lease frees the work.
"""

import random
from collections.abc import Callable
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

FIRST_DELAY = 20.0  # seconds
LONGEST_DELAY = 3600.0


def fate_of(error: BaseException) -> Fate:
    """Decide what an error means for the work that met it."""
    return next((fate for kind, fate in _TABLE if isinstance(error, kind)), Fate.CRASH)


def delay_after(attempts: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds to wait after so many failed attempts: doubling from 20 s to an hour, and half of it by chance.

    Without chance, all that failed together would come back together.
    """
    longest = min(FIRST_DELAY * (1 << min(attempts, 8)), LONGEST_DELAY)
    return longest * (0.5 + 0.5 * chance())


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

    def close(self) -> None:
        """Begin anew: somebody was told."""
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether to stop."""
        return self._failures >= self._limit
