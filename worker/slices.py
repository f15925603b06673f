"""What the fleet's tasks do: each takes a slice of whatever the ledger says is due, and ends within about a minute.

A slice that found more than it might take on sends a successor first thing after; a slice that found nothing costs
one look at an index. Knows no Celery: a slice is a function, and tests call it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event

import structlog

from db.ledger import Ledger
from db.records import Lane
from db.release import Patience
from worker.captioning import Captioning
from worker.conversions import Conversions
from worker.metrics import Metrics
from worker.pulse import Pulse
from worker.queues import CAPTION, CONVERT
from worker.retry import Breaker
from worker.fleet_app import Hints

HINTS = 8  # messages that may wait in a queue: enough for as many workers to start at once

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertSlice:
    """Convert up to `chunk` pending objects."""

    conversions: Conversions
    chunk: int
    hints: Hints
    stop: Event

    def __call__(self) -> None:
        """Do it; what was found broken on the way is settled, not raised."""
        before = self.conversions.claimed
        full = False
        while self.conversions.advance(feed=not (full or self.stop.is_set())):
            full = self.conversions.claimed - before >= self.chunk
        if full:
            self.hints.send("convert", CONVERT)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionSlice:
    """Caption up to `chunk` released revisions."""

    captioning: Captioning
    chunk: int
    lane: Lane  # that the permit came for; the successor goes there too
    hints: Hints
    stop: Event

    def __call__(self) -> None:
        """Do it."""
        nothing_more, wake = Event(), Event()
        nothing_more.set()
        settled = self.captioning.run(limit=self.chunk, drain=nothing_more, stop=self.stop, wake=wake)
        if settled == self.chunk:
            self.hints.send(CAPTION_TASK[self.lane], CAPTION[self.lane])


CAPTION_TASK: Mapping[Lane, str] = {lane: f"caption_{lane.value}" for lane in Lane}
