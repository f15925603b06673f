"""What a bucket says to what its events told: one HEAD for each key, many at once, and what follows from it.

A case is one event of one message that nobody has decided yet. Knows no ledger and no broker.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from pipeline.bucket import Bucket
from pipeline.errors import Unavailable
from pipeline.events import Change, ObjectEvent
from pipeline.study import ObjectRef
from worker.event_queue import Delivery

HEADS = 8  # requests at once
AGAIN_SECONDS = (1.0, 5.0, 30.0)  # after which an object that is not there is asked for again
MOST_WAITING = 500  # cases that wait at once; beyond, the listing finds the objects
REFUSALS = 10  # of one object, while others are answered, before it is left to the listing
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between attempts while a service is away

Answer = ObjectRef | Unavailable | None

log = structlog.get_logger()


@dataclass(kw_only=True, slots=True, eq=False)
class Letter:
    """A message, and how many of its events are undecided."""

    delivery: Delivery
    trouble: str
    left: int


@dataclass(kw_only=True, slots=True, eq=False)
class Case:
    """An event that is undecided."""

    event: ObjectEvent
    letter: Letter
    due: float = 0.0  # monotonic seconds
    missing: int = 0  # times it was not there
    refused: int = 0  # times it was not answered while others were
    refused_at: float = 0.0  # monotonic seconds


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What a batch of cases comes to."""

    decided: list[Case] = field(default_factory=list)
    waiting: list[Case] = field(default_factory=list)  # to be asked for again when due
    found: dict[str, ObjectRef] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    left: int = 0  # of the decided, those that only a listing can find


class Inquiry:
    """Asks the bucket. Each call blocks on the network."""

    def __init__(self, bucket: Bucket, *, again_seconds: Sequence[float] = AGAIN_SECONDS) -> None:
        self._bucket = bucket
        self._again = again_seconds
        self._pause = 0.0  # since the bucket is away
        self._answered_at = 0.0  # monotonic seconds
        self._threads = ThreadPoolExecutor(HEADS, thread_name_prefix="head")

    def close(self) -> None:
        """Wait for nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def judge(self, cases: Sequence[Case], *, waiting: int) -> Verdict:
        """Decide what can be decided; `waiting` others wait already."""
        cases = sorted(cases, key=lambda case: case.refused)  # those that may bar the way come last
        answers = self._ask([case.event.key for case in cases])
        others = [case.event.other_key for case in cases if answers[case.event.key] is None]
        answers |= self._ask([key for key in others if key])
        verdict, away = Verdict(), list[Case]()
        for case in cases:
            told = {key: answers[key] for key in (case.event.key, case.event.other_key) if key and key in answers}
            found = next((answer for answer in told.values() if isinstance(answer, ObjectRef)), None)
            if found is not None:
                if found.key.startswith(self._bucket.prefix):
                    verdict.found[found.key] = found
                verdict.decided.append(case)
            elif any(isinstance(answer, Unavailable) for answer in told.values()):
                away.append(case)
            elif case.event.change is Change.REMOVED:
                verdict.gone.update(told)
                verdict.decided.append(case)
            else:
                self._wait_for(case, verdict, waiting)
        if any(not isinstance(answer, Unavailable) for answer in answers.values()):
            self._answered_at, self._pause = time.monotonic(), 0.0
        self._postpone(away, verdict)
        return verdict

    def _ask(self, keys: Sequence[str]) -> dict[str, Answer]:
        """One HEAD for each key; once a few were not answered, the rest are not asked."""
        refused: list[Unavailable] = []

        def ask(key: str) -> Answer:
            if len(refused) >= HEADS:
                return refused[0]
            try:
                return self._bucket.stat(key)
            except Unavailable as error:
                refused.append(error)
                return error

        asked = list(dict.fromkeys(keys))
        return dict(zip(asked, self._threads.map(ask, asked), strict=True))

    def _wait_for(self, case: Case, verdict: Verdict, waiting: int) -> None:
        """An object that is not there may come; Ceph tells of multi-part uploads before they end."""
        if case.missing >= len(self._again) or waiting + len(verdict.waiting) >= MOST_WAITING:
            _leave(case, verdict, "not there")
            return
        case.due = time.monotonic() + self._again[case.missing]
        case.missing += 1
        verdict.waiting.append(case)

    def _postpone(self, away: list[Case], verdict: Verdict) -> None:
        """Ask later for what was not answered; one that alone is refused is not asked for for ever."""
        if not away:
            return
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE)
        log.warning("intake_waits", service="bucket", again_in=self._pause, events=len(away))
        now = time.monotonic()
        for case in away:
            case.refused += self._answered_at > case.refused_at
            case.refused_at, case.due = now, now + self._pause
            if case.refused >= REFUSALS:
                _leave(case, verdict, "refused")
            else:
                verdict.waiting.append(case)


def _leave(case: Case, verdict: Verdict, why: str) -> None:
    """To the listing, which finds whatever is there in the end."""
    log.info("event_left_to_listing", because=why)
    verdict.decided.append(case)
    verdict.left += 1
