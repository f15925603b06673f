"""When a back-fill may queue studies, and how many: an off-peak window and a rate. Arithmetic; knows no table.

Both are judged by a clock that is passed in. Time in which nothing was queued is lost, whether it was a pause, the
day outside of the window or a beat that was down: what comes at once is a minute's worth and one more at most.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

DAY = 24 * 60  # minutes
HOUR = 3600.0  # seconds
GATHERED = 60.0  # seconds whose studies may come at once: longer than the time between two slices
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A part of every day, the end excluded; it crosses midnight when it ends before it starts."""

    start: int  # minutes since midnight
    end: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The window that `HH:MM-HH:MM` names; None for anything else, an empty window included."""
        match = _WINDOW.fullmatch(text)
        if match is None:
            return None
        from_hour, from_minute, to_hour, to_minute = map(int, match.groups())
        window = cls(start=from_hour * 60 + from_minute, end=to_hour * 60 + to_minute)
        return None if window.start == window.end else window

    def shifted(self, by: timedelta) -> Self:
        """The same window on a clock that is `by` ahead of this one's."""
        minutes = round(by.total_seconds() / 60)
        return type(self)(start=(self.start + minutes) % DAY, end=(self.end + minutes) % DAY)

    def covers(self, now: datetime) -> bool:
        """Whether the window is open at a time of its own clock."""
        minute = now.hour * 60 + now.minute
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def __str__(self) -> str:
        """As `parse` takes it."""
        return f"{self.start // 60:02}:{self.start % 60:02}-{self.end // 60:02}:{self.end % 60:02}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast, and when. A None is no limit."""

    per_hour: int | None
    window: Window | None  # in UTC

    def allowed(self, fed_at: datetime, now: datetime, *, most: int) -> int:
        """How many studies may be queued now, at most `most`; those before are paid for up to `fed_at`."""
        if self.window is not None and not self.window.covers(now):
            return 0
        if self.per_hour is None:
            return most
        elapsed = (now - self._since(fed_at, now)).total_seconds()
        return max(0, min(most, int(elapsed * self.per_hour / HOUR + 1e-6)))

    def paid(self, fed_at: datetime, now: datetime, *, queued: int) -> datetime:
        """The new `fed_at` after so many were queued; time that makes no whole study is kept."""
        if self.per_hour is None:
            return now
        return min(now, self._since(fed_at, now) + timedelta(seconds=queued * HOUR / self.per_hour))

    def _since(self, fed_at: datetime, now: datetime) -> datetime:
        """`fed_at`, or the earliest time that still counts. A study's own time on top: it may be nearly over."""
        gathered = GATHERED + HOUR / (self.per_hour or HOUR)
        return max(fed_at, now - timedelta(seconds=gathered))
