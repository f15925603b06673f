"""How the run page says numbers, times and balances.

Times are shown in UTC, because a page outlives the clock of the machine that wrote it. Knows no HTML.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

DRAFT_NOTICE = "Draft for a radiologist. Not a diagnosis."
_MOST_REASONS = 12  # of one state; the rest is summed up


class Counted(Protocol):
    """A reason and how often it was given."""

    @property
    def state(self) -> str:
        """What they ended as."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def count(self) -> int:
        """How many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One state of a balance, and what it is made of."""

    state: str
    count: int
    reasons: tuple[tuple[str, int], ...]  # most frequent first; they sum to `count` where there are any


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """A column of entries and their sum."""

    title: str
    unit: str  # what the sum is called
    entries: tuple[Entry, ...]

    @property
    def total(self) -> int:
        """The sum of all entries."""
        return sum(entry.count for entry in self.entries)


def ledger(title: str, unit: str, states: Mapping[str, int], reasons: Iterable[Counted]) -> Ledger:
    """A balance in the order it was given. What no reason accounts for is said to have none."""
    given = list(reasons)
    entries = (
        Entry(state=state, count=number, reasons=_reasons(number, [r for r in given if r.state == state]))
        for state, number in states.items()
        if number or state != "working"  # at the end of a run none should be; then the word would only puzzle
    )
    return Ledger(title=title, unit=unit, entries=tuple(entries))


def _reasons(number: int, given: list[Counted]) -> tuple[tuple[str, int], ...]:
    if not given:
        return ()
    ordered = sorted(((r.reason or "no reason recorded", r.count) for r in given), key=lambda pair: -pair[1])
    shown, rest = ordered[:_MOST_REASONS], ordered[_MOST_REASONS:]
    if rest:
        shown.append((f"{len(rest)} further reasons", sum(n for _, n in rest)))
    if missing := number - sum(n for _, n in shown):
        shown.append(("no reason recorded", missing))
    return tuple(shown)


def when(moment: datetime, *, after: datetime | None = None) -> str:
    """23 November 2026, 22:04 UTC; without the date where it is that of `after`."""
    utc = moment.astimezone(UTC)
    if after and after.astimezone(UTC).date() == utc.date():
        return f"{utc:%H:%M} UTC"
    return f"{utc.day} {utc:%B %Y, %H:%M} UTC"


def day(moment: date) -> str:
    """23 November 2026."""
    return f"{moment.day} {moment:%B %Y}"


def count(number: int) -> str:
    """12,345."""
    return f"{number:,}"


def plural(number: int, one: str, many: str) -> str:
    """1 study, 2 studies."""
    return f"{number:,} {one if number == 1 else many}"


def decimal(number: float) -> str:
    """A log-probability with a true minus sign."""
    return f"{number:.2f}".replace("-", "\N{MINUS SIGN}")
