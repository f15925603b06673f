"""Is this process alive, and is it ready? What an orchestrator may do about each differs.

Not live means: restart me. So only what a restart mends counts: work that is due or in hand and does not move.
A service that is away is no such thing; then the process waits, and stays alive. Not ready means: I cannot work
now; the answer names what is missing. Knows no HTTP; see `health_server`.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from db.backlog import has_stalled
from db.engine import reading
from db.errors import DatabaseError
from db.records import Lane
from pipeline.errors import Unavailable
from worker.bounded import Bounded
from worker.pulse import Pulse

CHECK_SECONDS = 2.0  # for one check
KEPT_SECONDS = 5.0  # an orchestrator asks often, and many of them ask one broker


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Yes or no, and why."""

    ok: bool
    body: Mapping[str, Any]


class Readiness:
    """Named checks, all at once, each in a thread of its own: one that hangs holds nobody up."""

    def __init__(
        self,
        checks: Mapping[str, Callable[[], object]],
        *,
        check_seconds: float = CHECK_SECONDS,
        kept_seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """What a check raises is its failure; the error's text is shown, so it must hold no secret."""
        self._checks = {
            name: Bounded(f"check-{name}", check, seconds=check_seconds) for name, check in checks.items()
        }
        self._kept_seconds, self._clock = kept_seconds, clock
        self._failures: dict[str, str] = {}
        self._asked = float("-inf")
        self._lock = threading.Lock()

    def __call__(self) -> Answer:
        """Ready when every check passed a moment ago."""
        failed = self.failures()
        shown = {name: failed.get(name, "ok") for name in self._checks}
        return Answer(ok=not failed, body={"ready": not failed, "checks": shown})

    def failures(self) -> dict[str, str]:
        """The checks that failed, and why."""
        with self._lock:
            if self._clock() - self._asked >= self._kept_seconds:
                asked = [(name, check, check.begin()) for name, check in self._checks.items()]
                told = {name: _failure(check, future) for name, check, future in asked}
                self._failures = {name: why for name, why in told.items() if why}
                self._asked = self._clock()
            return dict(self._failures)


def _failure(check: Bounded[object], asked: "Future[object]") -> str:
    try:
        check.wait(asked)
    except Exception as error:  # noqa: BLE001  # whatever a check raises is its answer
        return str(error) or type(error).__name__
    return ""


class Liveness:
    """Live while work moves, or while none of it could."""

    def __init__(
        self, pulse: Pulse, *, is_due: Callable[[], bool] | None, missing: Callable[[], Mapping[str, str]]
    ) -> None:
        """Build it.

        Args:
            pulse: Tells when something moved last, and what is in hand.
            is_due: Whether work waits that nobody takes; may raise `DatabaseError`. None for a process that moves
                even without work, because its loop turns.
            missing: The services that do not answer, such as `Readiness.failures` of broker, database and bucket.
        """
        self._pulse, self._is_due, self._missing = pulse, is_due, missing

    def __call__(self) -> Answer:
        """Judge by the pulse first, and ask others only when it stands still."""
        still = self._pulse.still_seconds
        if still < self._pulse.stall_seconds:
            return self._answer(ok=True, why=f"something moved {still:.0f} s ago")
        is_live, why = self._judge(still)
        return self._answer(ok=is_live, why=why)

    def _judge(self, still: float) -> tuple[bool, str]:
        if missing := self._missing():
            return True, f"nothing moves because of {', '.join(sorted(missing))}"
        if what := self._pulse.in_hand:
            return False, f"{what} in hand has not moved for {still:.0f} s"
        if self._is_due is None:
            return False, f"the loop has not turned for {still:.0f} s"
        try:
            is_due = self._is_due()
        except (DatabaseError, Unavailable) as error:
            return True, f"whether work is due cannot be asked: {error}"
        return not is_due, f"nothing moved for {still:.0f} s while work is due" if is_due else "no work is due"

    def _answer(self, *, ok: bool, why: str) -> Answer:
        return Answer(ok=ok, body={"live": ok, "why": why, "kind": self._pulse.kind})


def work_is_due(
    engine: Engine,
    queue: str,
    *,
    seconds: float,
    bucket: str | None = None,
    lanes: Sequence[Lane] = tuple(Lane),
) -> Callable[[], bool]:
    """Ask the ledger whether work that this process serves was due and free for so long."""

    def ask() -> bool:
        with reading(engine) as connection:
            return has_stalled(connection, queue, seconds=seconds, bucket=bucket, lanes=lanes)

    return Bounded("due", ask, seconds=CHECK_SECONDS)
