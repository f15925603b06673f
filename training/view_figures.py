"""How good the view classifier is on views it never saw, and the thresholds that follow: chosen on val alone.

A view is right where its likeliest kind is its own. What matters at work is the opinion above a threshold: how
many views have one, and how many of those are wrong. Knows no training.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.study import Pixels
from pipeline.view_classifier import Thresholds, ViewClassifier
from training.view_data import LATERAL, OTHER, Seen

KINDS = ("frontal", "lateral", "other")
TELLS, CONTRADICTS, INVERTED = (0.95, 0.98, 0.99), (0.99, 0.995, 0.999), (0.95, 0.98, 0.99)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Of the views of one kind on one side; the counts are of views."""

    side: str
    kind: str
    polarity: str  # as made, or inverted
    views: int
    right: int
    told: int  # with a sure opinion on the projection
    wrongly_told: int
    contradicted: int  # would overrule a header that is right
    called_inverted: int


def shares(classifier: ViewClassifier, views: Sequence[Pixels]) -> NDArray[np.float64]:
    """[N, 4]: frontal, lateral, other, inverted."""
    opinions = [classifier.scores(view) for view in views]
    return np.array([[one.frontal, one.lateral, one.other, one.inverted] for one in opinions]).reshape(-1, 4)


def thresholds_for(classifier: ViewClassifier, seen: Sequence[Seen]) -> Thresholds:
    """The least of each ladder at which no val view is wrong; the highest where every one is."""
    val = [one for one in seen if one.side == "val"]
    found = shares(classifier, [one.pixels for one in val])
    wrong = max(found[row, LATERAL - one.kind] for row, one in enumerate(val) if one.kind != OTHER)
    return Thresholds(
        tells=_above(TELLS, wrong),
        contradicts=_above(CONTRADICTS, wrong),
        inverted=_above(INVERTED, found[:, 3].max()),
    )


def _above(ladder: tuple[float, ...], least: float) -> float:
    return next((rung for rung in ladder if rung > least), ladder[-1])


def figures(classifier: ViewClassifier, seen: Sequence[Seen]) -> Iterator[Figures]:
    """Of every side that was not learnt from, as made and inverted."""
    limits = classifier.thresholds
    for side in ("val", "extra", "kept back"):
        for kind, name in enumerate(KINDS):
            views = [one.pixels for one in seen if one.side == side and one.kind == kind]
            for polarity in ("as made", "inverted") if views else ():
                found = shares(classifier, [255 - view for view in views] if polarity == "inverted" else views)
                upright = found[:, 3] < limits.inverted
                best, sure = found[:, :2].argmax(1), found[:, :2].max(1)
                told = (sure >= limits.tells) & upright
                yield Figures(
                    side=side,
                    kind=name,
                    polarity=polarity,
                    views=len(views),
                    right=int((found[:, :3].argmax(1) == kind).sum()),
                    told=int(told.sum()),
                    wrongly_told=int((told & (best != kind)).sum()),
                    contradicted=int((upright & (sure >= limits.contradicts) & (best != kind)).sum()),
                    called_inverted=int((~upright).sum()),
                )
