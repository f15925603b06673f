"""Triage: which lane an object's study goes to, and which objects are markers. By key and age alone, unread."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from db.records import Lane


@dataclass(frozen=True, kw_only=True, slots=True)
class Triage:
    """The site's rules."""

    urgent_keys: tuple[str, ...] = ()  # patterns as a shell has them; `*` crosses slashes
    backfill_days: float = 30.0
    marker: str = ""  # name of the objects that say: this folder is complete

    def lane(self, key: str, last_modified: datetime, now: datetime) -> Lane:
        """Urgent by its key; else an object that was old when it was found is nobody's work of today."""
        if any(fnmatchcase(key, pattern) for pattern in self.urgent_keys):
            return Lane.URGENT
        if now - last_modified > timedelta(days=self.backfill_days):
            return Lane.BACKFILL
        return Lane.ROUTINE

    def is_marker(self, key: str) -> bool:
        """Whether the object says that its folder is complete."""
        return bool(self.marker) and key.rpartition("/")[2] == self.marker


def parse_patterns(text: str) -> tuple[str, ...]:
    """The patterns of a comma-separated list."""
    return tuple(pattern.strip() for pattern in text.split(",") if pattern.strip())
