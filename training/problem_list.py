"""What is wrong with data or configuration, gathered first and told at once.

A problem has a kind, so that a thousand of one kind are a line and a few places, and either stops a training or is
only told. Knows nothing of what was looked at.
"""

from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 5  # places of each kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong, in one place."""

    kind: str  # what is wrong and what to do, the same words for every place
    place: str  # which study, file or setting; "" when there is only one such thing
    stops: bool = True  # training would go wrong; else the place is left out and the rest is sound


def listed(problems: Iterable[Problem], at_most: int = SHOWN) -> list[str]:
    """One line for each kind, in the order of appearance: how many, what, and where."""
    places: dict[str, list[str]] = {}
    for problem in problems:
        places.setdefault(problem.kind, []).append(problem.place)
    return [_line(kind, found, at_most) for kind, found in places.items()]


def _line(kind: str, places: list[str], at_most: int) -> str:
    shown = [place for place in places[:at_most] if place]
    if not shown:
        return kind
    more = f" and {len(places) - at_most:,} more" if len(places) > at_most else ""
    count = f" ({len(places):,})" if len(places) > 1 else ""
    return f"{kind}{count}: {', '.join(shown)}{more}"


def stopping(problems: Iterable[Problem]) -> list[Problem]:
    """Those that a training must not begin with."""
    return [problem for problem in problems if problem.stops]
