"""What is made of the view classifier's opinion beside what the header said of the same image.

Where the header is silent, a sure opinion tells the projection. Where it speaks, it is followed unless the
opinion against it is surer than headers are (about one in a thousand is wrong); either way a note says that they
differ. An image that looks like no chest, or inverted, is noted and left as it is. What a header calls oblique
or decubitus stays so: the classifier was not taught those. An opinion of an image that looks inverted tells
nothing: inverted laterals look much like other bones.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pipeline.study import VIEW_CLASSIFIER, Header, Pixels, Projection, View
from pipeline.view_classifier import LEAST_SIDE, SHIPPED, Opinion, Thresholds, load_classifier

OPPOSITE = {Projection.FRONTAL: Projection.LATERAL, Projection.LATERAL: Projection.FRONTAL}


def beheld(header: Header, view: View, folder: Path = SHIPPED) -> tuple[Header, View]:
    """Header and view after a look at the pixels by the classifier in a folder."""
    classifier = load_classifier(folder)
    return weighed(header, view, classifier, classifier.thresholds)


def weighed(
    header: Header, view: View, look: Callable[[Pixels], Opinion | None], thresholds: Thresholds
) -> tuple[Header, View]:
    """As `beheld`, by any classifier. A view that was enlarged from a tiny image shows nothing to judge."""
    if any(side is not None and side < LEAST_SIDE for side in (header.rows, header.columns)):
        return header, view
    opinion = look(view.pixels)
    if opinion is None:
        return header, view
    header, notes = _projection(header, opinion, thresholds)
    return header, replace(view, notes=view.notes + notes + _oddities(opinion, thresholds))


def _projection(header: Header, opinion: Opinion, thresholds: Thresholds) -> tuple[Header, tuple[str, ...]]:
    shares = {Projection.FRONTAL: opinion.frontal, Projection.LATERAL: opinion.lateral}
    told = header.projection
    if told is Projection.OTHER:
        return header, ()
    sure = opinion.inverted < thresholds.inverted
    if told is Projection.UNKNOWN:
        best = max(shares, key=lambda projection: shares[projection])
        if not sure or shares[best] < thresholds.tells:
            return header, ()
        return _seen_as(header, best, shares[best]), ()
    against = OPPOSITE[told]
    if not sure or shares[against] < thresholds.tells:
        return replace(header, projection_confidence=_rounded(shares[told])), ()
    doubt = f"{header.projection_source} says {told}, but the image looks {against}"
    if shares[against] < thresholds.contradicts:
        return replace(header, projection_confidence=_rounded(shares[told])), (f"{doubt}: left as stated",)
    return _seen_as(header, against, shares[against]), (f"{doubt}: taken as {against}",)


def _seen_as(header: Header, projection: Projection, share: float) -> Header:
    """A beam that was told of another projection goes with it."""
    return replace(
        header,
        projection=projection,
        projection_source=VIEW_CLASSIFIER,
        projection_confidence=_rounded(share),
        standing=replace(header.standing, beam=""),
    )


def _oddities(opinion: Opinion, thresholds: Thresholds) -> tuple[str, ...]:
    if opinion.other >= thresholds.tells:
        return ("looks like no frontal or lateral chest",)
    if opinion.inverted >= thresholds.inverted and opinion.other < 1 - thresholds.tells:
        return ("looks inverted against its Photometric Interpretation, which was followed",)
    return ()


def _rounded(share: float) -> float:
    """Four digits: more would be noise, and differ from machine to machine."""
    return round(share, 4)
