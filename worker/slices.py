"""What the fleet's tasks do: each takes a slice of whatever the ledger says is due, and ends in about a minute.

A slice that found as much as it may take on sends a successor; a slice that found nothing costs one look at an
index. Knows no Celery: a slice is called, by a task or by a test.
"""

from dataclasses import dataclass
from threading import Event

import structlog

from db.ledger import Ledger
from db.release import Patience
from db.scans import Scans
from db.trainings import Trainings
from pipeline.bucket import Bucket
from worker.captioning import Captioning
from worker.conversions import Conversions
from worker.dispatch import HINTS, Dispatch
from worker.metrics import Metrics
from worker.scan import ScanProgress, scan_slice

SCAN_SECONDS = 30.0  # a slice of a listing
PER_HINT = 16  # released studies to a hint: about what a worker takes at once

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertSlice:
    """Convert up to `chunk` pending objects."""

    conversions: Conversions
    chunk: int
    dispatch: Dispatch
    stop: Event

    def __call__(self) -> None:
        """Do it; what was found broken on the way is settled, not raised."""
        before = self.conversions.claimed
        full = False
        while self.conversions.advance(feed=not (full or self.stop.is_set())):
            full = self.conversions.claimed - before >= self.chunk
        if full:
            self.dispatch.conversions(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionSlice:
    """Caption up to `chunk` released revisions."""

    captioning: Captioning
    chunk: int
    dispatch: Dispatch
    stop: Event

    def __call__(self) -> None:
        """Do it."""
        nothing_more, wake = Event(), Event()
        nothing_more.set()
        settled = self.captioning.run(limit=self.chunk, drain=nothing_more, stop=self.stop, wake=wake)
        if settled == self.chunk:
            self.dispatch.captions(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSlice:
    """Turn complete studies into revisions, and tell the captioners."""

    ledger: Ledger
    patience: Patience
    dispatch: Dispatch
    metrics: Metrics

    def __call__(self) -> None:
        """Do it."""
        with self.metrics.stage("release"):
            released = self.ledger.release(self.patience)
        if released:
            log.info("released", revisions=released)
            self.dispatch.captions(min(HINTS, 1 + released // PER_HINT))


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanSlice:
    """Walk the bucket's listing for a while, when one is open or due, and tell the converters what it found."""

    scans: Scans
    bucket: Bucket
    owner: str
    every_seconds: float
    dispatch: Dispatch
    metrics: Metrics

    def __call__(self) -> None:
        """Do it."""
        if not self.scans.is_due(self.bucket.name, self.bucket.prefix, every_seconds=self.every_seconds):
            return
        told = 0

        def tell(progress: ScanProgress) -> None:
            nonlocal told
            if progress.new > told:
                self.dispatch.conversions(1)
            told = progress.new

        with self.metrics.stage("scan"):
            done = scan_slice(self.scans, self.bucket, owner=self.owner, seconds=SCAN_SECONDS, on_page=tell)
        if done is not None and done.missed:
            self.metrics.missed_events(done.missed)
            log.warning("events_missed", objects=done.missed)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleSlice:
    """Ask for a training run once enough reports were verified or corrected since the last one."""

    trainings: Trainings
    config: str
    after: int  # reports
    actor: str

    def __call__(self) -> None:
        """Do it; the sweep tells the training workers."""
        run_id = self.trainings.request_due(self.config, after=self.after, actor=self.actor)
        if run_id is not None:
            log.info("training_asked", run=run_id, config=self.config)


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepSlice:
    """Free what dead workers left, pause queues that fail, and send the hints that were lost."""

    ledger: Ledger
    dispatch: Dispatch
    metrics: Metrics
    most_crashes: int
    breaker_share: float
    breaker_least: int

    def __call__(self) -> None:
        """Do it."""
        for queue, swept in self.ledger.sweep(most_crashes=self.most_crashes).items():
            if swept.expired:
                log.warning("leases_expired", queue=queue, expired=swept.expired, given_up=swept.given_up)
                self.metrics.leases_expired(queue, swept.expired)
                self.metrics.given_up(queue, swept.given_up)
        for line in self.ledger.trip(share=self.breaker_share, least=self.breaker_least):
            log.error("queue_paused", reason=line)
        lost = self.dispatch.trainings.sweep(most_crashes=self.most_crashes)
        if lost.expired:
            log.warning("trainings_lost", expired=lost.expired, given_up=lost.given_up)
        self.dispatch.refill()
