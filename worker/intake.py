"""Intake: what a bucket's events tell of is asked of the bucket itself, recorded in the ledger, and acknowledged.

Works on a thread of its own, in batches: one HEAD for each key, one transaction, then the acknowledgements, which
`event_queue` makes. While bucket or database are away nothing is acknowledged and nothing is lost. Keys may hold
names: none is ever logged.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Protocol

import structlog

from db.errors import DatabaseError
from db.records import ListedObject
from pipeline.bucket import Bucket
from pipeline.errors import NightreadError, UsageError
from pipeline.events import ObjectEvent, read_message
from pipeline.study import ObjectRef
from worker.bootstrap import Site
from worker.event_cases import AGAIN_SECONDS, FIRST_PAUSE, LONGEST_PAUSE, Case, Inquiry, Letter, Verdict
from worker.event_queue import Delivery, EventQueue, Settled
from worker.event_transports import open_connection
from worker.metric_names import EventOutcome

GATHER_SECONDS = 0.05
BATCH = 300  # messages
MARKED = 10_000  # objects of a marked folder that are looked up at once; the listing finds more

log = structlog.get_logger()


class ObjectLedger(Protocol):
    """What intake needs of the ledger; raises `DatabaseError`."""

    def record_objects(self, bucket: str, listed: Iterable[ListedObject]) -> int:
        """Add objects; how many are new."""

    def mark_removed(self, bucket: str, keys: Sequence[str]) -> int:
        """Objects of these keys that were not read yet have no work left."""


class EventCounters(Protocol):
    """Where events are counted. Never blocks or raises."""

    def event(self, outcome: EventOutcome, count: int = 1) -> None:
        """So many events were dealt with like this."""


class Uncounted:
    """Counts nothing."""

    def event(self, outcome: EventOutcome, count: int = 1) -> None:
        """Nothing."""


class _StoppedError(Exception):
    """Told to stop while waiting for a service."""


class Intake:
    """The handler of an event queue."""

    def __init__(
        self,
        ledger: ObjectLedger,
        bucket: Bucket,
        *,
        marker: str,
        hint: Callable[[], object] = lambda: None,
        counters: EventCounters | None = None,
        again_seconds: Sequence[float] = AGAIN_SECONDS,
    ) -> None:
        self._inquiry = Inquiry(bucket, again_seconds=again_seconds)
        self._ledger = ledger
        self._bucket = bucket
        self._marker = marker
        self._hint = hint
        self._counters = Uncounted() if counters is None else counters
        self._epoch = 0
        self._inbox: SimpleQueue[Delivery | None] = SimpleQueue()
        self._outbox: SimpleQueue[Settled] = SimpleQueue()
        self._waiting: list[Case] = []
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def take(self, delivery: Delivery) -> None:
        """Put it on the pile."""
        self._epoch = delivery.epoch
        self._inbox.put(delivery)

    def settled(self) -> list[Settled]:
        """What the thread has dealt with."""
        if self._error is not None:
            raise self._error
        done: list[Settled] = []
        while True:
            try:
                done.append(self._outbox.get_nowait())
            except Empty:
                return done

    def finish(self) -> None:
        """End after the batch under way."""
        self._stopping.set()
        self._inbox.put(None)

    @property
    def is_busy(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._advance(self._gather())
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001  # raised on the thread that asks for what is settled
            self._error = error
        finally:
            self._inquiry.close()

    def _gather(self) -> list[Case]:
        """What is due, and what has arrived: the first message brings those that follow closely."""
        now = time.monotonic()
        wait = min((case.due - now for case in self._waiting), default=None)
        arrived = self._receive(wait)
        if arrived is not None:
            until = time.monotonic() + GATHER_SECONDS
            letters = [arrived]
            while len(letters) < BATCH and (more := self._receive(until - time.monotonic())) is not None:
                letters.append(more)
            cases = [case for delivery in letters for case in self._opened(delivery)]
        else:
            cases = []
        now = time.monotonic()
        waiting = [case for case in self._waiting if case.letter.delivery.epoch == self._epoch]
        self._waiting = [case for case in waiting if case.due > now]
        return [case for case in waiting if case.due <= now] + cases

    def _receive(self, wait: float | None) -> Delivery | None:
        try:
            return self._inbox.get(timeout=None if wait is None else max(0.0, wait))
        except Empty:
            return None

    def _opened(self, delivery: Delivery) -> list[Case]:
        """The message's events that are ours; one without any is settled."""
        notice = read_message(delivery.body, bucket=self._bucket.name.removeprefix("s3://"))
        ours = [event for event in notice.events if self._is_ours(event)]
        self._count("ignored", notice.ignored + len(notice.events) - len(ours))
        letter = Letter(delivery=delivery, trouble=notice.trouble, left=len(ours))
        if not ours:
            self._close(letter)
        return [Case(event=event, letter=letter) for event in ours]

    def _is_ours(self, event: ObjectEvent) -> bool:
        return any(key and key.startswith(self._bucket.prefix) for key in (event.key, event.other_key))

    def _close(self, letter: Letter) -> None:
        if letter.trouble:
            self._count("dead")
        self._outbox.put(Settled(delivery=letter.delivery, trouble=letter.trouble))

    def _advance(self, cases: list[Case]) -> None:
        """Decide what can be decided, write it down, and settle the messages that it completes."""
        if not cases:
            return
        verdict = self._inquiry.judge(cases, waiting=len(self._waiting))
        self._waiting += verdict.waiting
        new = self._insist(lambda: self._write(verdict))
        self._count("recorded", new)
        self._count("repeated", max(0, len(verdict.found) - new))
        self._count("gone", len(verdict.gone))
        self._count("deferred", verdict.left)
        for case in verdict.decided:
            case.letter.left -= 1
            if not case.letter.left:
                self._close(case.letter)
        if new:
            self._tell()

    def _write(self, verdict: Verdict) -> int:
        """A marked folder first, so that no image is missing when its marker counts."""
        name, new = self._bucket.name, 0
        for folder in sorted({key.rpartition("/")[0] for key in verdict.found if self._is_marker(key)}):
            inside = islice(self._bucket.list(within=f"{folder}/"), MARKED)
            new += self._ledger.record_objects(
                name, map(_listed, (ref for ref in inside if ref.key not in verdict.found))
            )
        new += self._ledger.record_objects(name, (_listed(verdict.found[key]) for key in sorted(verdict.found)))
        if verdict.gone:
            self._ledger.mark_removed(name, sorted(verdict.gone))
        return new

    def _is_marker(self, key: str) -> bool:
        return key.endswith(f"/{self._marker}")

    def _insist(self, write: Callable[[], int]) -> int:
        """Until it is written; a database or bucket that is away is waited for."""
        pause = FIRST_PAUSE
        while True:
            try:
                return write()
            except (DatabaseError, NightreadError) as error:
                if isinstance(error, DatabaseError) and not error.retryable:
                    raise
                log.warning("intake_waits", service="ledger or bucket", kind=type(error).__name__, again_in=pause)
            if self._stopping.wait(pause):
                raise _StoppedError
            pause = min(2 * pause, LONGEST_PAUSE)

    def _count(self, outcome: EventOutcome, count: int = 1) -> None:
        """Nothing is no news: whoever watches the counts takes each for a sign of life."""
        if count:
            self._counters.event(outcome, count)

    def _tell(self) -> None:
        """Say that there is work; the sweep says so too, a little later."""
        try:
            self._hint()
        except Exception as error:  # noqa: BLE001  # whatever publishing raises: the objects are recorded
            log.warning("hint_lost", kind=type(error).__name__)


def _listed(ref: ObjectRef) -> ListedObject:
    return ListedObject(key=ref.key, etag=ref.etag, size=ref.size, last_modified=ref.last_modified)


def run_intake(
    site: Site,
    stop: threading.Event,
    *,
    hint: Callable[[], object] = lambda: None,
    counters: EventCounters | None = None,
) -> None:
    """Consume the bucket's events until told to stop.

    Raises:
        UsageError: The source is no bucket, or no broker is named.
    """
    settings = site.settings
    if not site.bucket.name.startswith("s3://"):
        raise UsageError(
            f"a folder sends no events: {site.source!r} is found by `nightread scan`; intake needs an s3:// source"
        )
    url = settings.events_url.get_secret_value() or settings.broker_url.get_secret_value()
    if not url:
        raise UsageError("no events' broker was given: set NIGHTREAD_EVENTS_URL or NIGHTREAD_BROKER_URL")
    connection = open_connection(url, settings.events_queue)
    intake = Intake(site.ledger, site.bucket, marker=settings.marker, hint=hint, counters=counters)
    EventQueue(connection, settings.events_queue).run(intake, stop)
