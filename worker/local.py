"""The night on one machine: intake, convert, release, caption, until nothing is left. No broker.

Two actors that share only the ledger: conversions, advanced by this module's loop, and the caption thread. It
assumes that it is the only local run on its database (the run lock), so that what a killed run left claimed can be
freed at the start. It knows nothing of terminals: progress goes to a callback.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from db.ledger import Ledger
from db.records import Balance
from db.release import Patience
from pipeline.bucket import Bucket
from pipeline.errors import Unavailable
from worker.captioning import CaptionThread
from worker.conversions import Conversions
from worker.steps import intake

LOOK_SECONDS = 0.5  # between two looks at the ledger, for complete studies and for the progress callback
LOOK_SHARE = 20  # but each kind of look may cost no more than a twentieth of the time
SAMPLES = 512  # points kept of the throughput curve

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where the run stands."""

    listed: int  # objects seen in the bucket
    studies_known: int  # in the ledger
    studies_done: int  # of them: reported, skipped or failed
    failed: int  # of them
    settled: int  # by this run
    seconds: float


class Throughput:
    """Studies settled over time, in at most `SAMPLES` points however long the run."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.settled = 0
        self.points: list[tuple[float, int]] = [(0.0, 0)]

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    def count(self, studies: int) -> None:
        """Count settled studies; every second point goes when there are too many."""
        self.settled += studies
        self.points.append((self.seconds, self.settled))
        if len(self.points) > SAMPLES:
            self.points = [*self.points[:-1:2], self.points[-1]]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """How the run ended."""

    balance: Balance
    settled: int  # studies that this run gave a report or a reason
    seconds: float
    throughput: tuple[tuple[float, int], ...]  # (seconds, settled)
    interrupted: bool
    stopped_by: str = ""  # the fault that ended it early, "" when there was none


class _StoppedError(Exception):
    """The listing was told to stop."""


@dataclass(kw_only=True)
class LocalRun:
    """One run. `stop` may be set from a signal handler or another thread: finish the batch in hand, and end."""

    ledger: Ledger
    bucket: Bucket
    conversions: Conversions
    captions: CaptionThread
    throughput: Throughput
    owner: str
    quiet_seconds: float
    limit: int | None  # most studies to settle
    on_progress: Callable[[Progress], None]
    stop: threading.Event
    _listed: int = 0
    _released: int = 0
    _release_at: float = 0.0
    _report_at: float = 0.0

    def run(self) -> RunResult:
        """Work until nothing is left, or until stopped."""
        stopped_by = ""
        try:
            intake(self.ledger, self.bucket, self._on_page)
            self.captions.start()
            self._convert()
            self._caption()
        except _StoppedError:
            pass  # while listing: what was listed so far is kept
        except Unavailable as error:
            stopped_by = str(error)
        finally:
            self._tidy()
        return RunResult(
            balance=self.ledger.balance(),
            settled=self.throughput.settled,
            seconds=self.throughput.seconds,
            throughput=tuple(self.throughput.points),
            interrupted=self.stop.is_set(),
            stopped_by=stopped_by,
        )

    def _on_page(self, seen: int, new: int) -> None:
        self._listed = seen
        log.info("bucket_listed", objects=seen, new=new)
        self._report()
        if self.stop.is_set():
            raise _StoppedError

    def _convert(self) -> None:
        """Until every object is settled, or enough studies are released."""
        busy = True
        while busy and self.captions.is_running and not self.stop.is_set():
            full = self.limit is not None and self._released >= self.limit
            busy = self.conversions.advance(feed=not full)
            self._release(now=not busy)
            self._report()

    def _release(self, *, now: bool) -> None:
        began = time.monotonic()
        if not now and began < self._release_at:
            return
        released = self.ledger.release(Patience(quiet=self.quiet_seconds, longest=None))
        took = time.monotonic() - began
        self._release_at = began + took + max(LOOK_SECONDS, LOOK_SHARE * took)
        self._released += released
        if released:
            self.captions.wake()

    def _caption(self) -> None:
        """Until every released study is settled."""
        self.captions.drain()
        while self.captions.is_running:
            if self.stop.is_set():
                self.captions.stop()
            self.captions.wait(timeout=LOOK_SECONDS)
            self._report()
        self.captions.raise_error()

    def _tidy(self) -> None:
        """Whatever happened: keep the outcomes that arrived, end the helpers, free what is still claimed."""
        self.captions.stop()
        try:
            self.conversions.close()
        finally:
            self.captions.wait()
            self.ledger.free_leases(self.owner)
        self._report(now=True)

    def _report(self, *, now: bool = False) -> None:
        began = time.monotonic()
        if not now and began < self._report_at:
            return
        counts = self.ledger.counts()
        took = time.monotonic() - began
        self._report_at = began + took + max(LOOK_SECONDS, LOOK_SHARE * took)
        self.on_progress(
            Progress(
                listed=self._listed,
                studies_known=counts.known,
                studies_done=counts.known - counts.waiting,
                failed=counts.failed,
                settled=self.throughput.settled,
                seconds=self.throughput.seconds,
            )
        )
