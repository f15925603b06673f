"""Which of several images of one projection is the best, and why not another: the site's rule, then what it is.

In this order: what the site's rules prefer; processed before companion before unprocessed; PA before what is not
told before AP, where both are of a frontal; a whole matrix before a copy of less than half its pixels; the later
exposure by the device's clock; the larger matrix; what was stored last. So a repeat replaces what it repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.study import Processing, Projection, Standing

PROCESSING_RANK = {
    Processing.STANDARD: 3,
    Processing.COLOUR: 2,
    Processing.COMPANION: 1,
    Processing.UNPROCESSED: 0,
}
BEAM_RANK = {"PA": 2, "": 1, "AP": 0}
REDUCED = 0.5  # a copy with a smaller share of the pixels is a thumbnail or a printer's


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A converted instance, as far as choosing needs it."""

    id: int  # the caller's
    sop_instance_uid: str
    projection: Projection
    projection_source: str
    rows: int
    columns: int
    body_part_examined: str
    modality: str
    last_modified: datetime
    sha256: str  # of the object's bytes
    standing: Standing = field(default_factory=Standing)

    @property
    def area(self) -> int:
        """Pixels."""
        return self.rows * self.columns


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The first by the order above; the highest id where all else is equal. None of none."""
    largest = max((one.area for one in candidates), default=0)
    return max(candidates, key=lambda one: (*_worth(one, largest), one.last_modified, one.id), default=None)


def _worth(one: Candidate, largest: int) -> tuple[int, int, int, bool, str, int]:
    standing = one.standing
    return (
        standing.preference,
        PROCESSING_RANK[standing.processing],
        BEAM_RANK.get(standing.beam, 1),
        one.area >= REDUCED * largest,
        standing.acquired,
        one.area,
    )


def why_not(one: Candidate, winner: Candidate) -> str:
    """The first thing in which the winner of the same projection is better."""
    view = one.projection
    mine, its = one.standing, winner.standing
    if mine.preference != its.preference:
        if its.preference > 0:
            return f"the site's rule {its.rule!r} prefers another {view} view"
        return f"the site's rule {mine.rule!r} avoids it, and there is another {view} view"
    if mine.processing is not its.processing:
        return f"{mine.processing}, and a {its.processing} {view} view was chosen"
    if mine.beam != its.beam:
        beam, chosen = (standing.beam or "not stated" for standing in (mine, its))
        told = f"its beam is {beam}; that of the {view} view chosen is {chosen}"
    else:
        told = _smaller_things(one, winner)
    return told


def _smaller_things(one: Candidate, winner: Candidate) -> str:
    """What is left to tell two apart: how large, and when made or stored."""
    view, whole = one.projection, max(one.area, winner.area) * REDUCED
    if (one.area >= whole) == (winner.area >= whole) and one.standing.acquired != winner.standing.acquired:
        return f"a later exposure of the {view} view was chosen"
    if one.area != winner.area:
        return f"a larger {view} view was chosen"
    return f"a later {view} view of the same size was chosen"
