"""How an image stands among others of its study, told by its header: beam, processing, time of the exposure.

Archives keep several images of one exposure: the processed one that a reader sees, an unprocessed twin,
companions with enhanced lines or subtracted bones. Assumes the vendors' own English words in Image Type and
descriptions; a header that says nothing of the kind is of a standard image. Times are by the device's clock and
only ever compared within a study.
"""

import re

from pipeline.attributes import Attributes
from pipeline.projection import VIEW_POSITION, beam
from pipeline.study import Processing, Standing

IMAGE_TYPE, SERIES_DESCRIPTION, PROCESSING_DESCRIPTION = 0x00080008, 0x0008103E, 0x00181400
ACQUIRED_AT, CONTENT_DATE, CONTENT_TIME = 0x0008002A, 0x00080023, 0x00080033
ACQUISITION_DATE, ACQUISITION_TIME = 0x00080022, 0x00080032
SAMPLES = 0x00280002  # per pixel; read with the layout
STANDING_TAGS = frozenset(
    {
        IMAGE_TYPE,
        SERIES_DESCRIPTION,
        PROCESSING_DESCRIPTION,
        VIEW_POSITION,
        ACQUIRED_AT,
        CONTENT_DATE,
        CONTENT_TIME,
    }
    | {ACQUISITION_DATE, ACQUISITION_TIME}
)
UNPROCESSED = re.compile(r"\b(UNPROCESSED|UN-PROCESSED|NOT PROCESSED|RAW|FOR PROCESSING)\b")
COMPANION = re.compile(
    r"\b(ENHANCE[D]?|ENHANCEMENT|COMPANION|SUBTRACT(ED|ION)?|DUAL[- ]ENERGY|BONE[- ]SUPP\w*|SUPPRESS(ED|ION)"
    r"|SOFT[- ]TISSUE|TUBES?[ /&]+(AND )?LINES?|LINES?[ /&]+(AND )?TUBES?|CATHETERS?|CAD)\b"
)


def standing(facts: Attributes) -> Standing:
    """What the header tells; the site's rules add theirs."""
    return Standing(beam=beam(facts), processing=_processing(facts), acquired=_acquired(facts))


def _processing(facts: Attributes) -> Processing:
    tags = (IMAGE_TYPE, SERIES_DESCRIPTION, PROCESSING_DESCRIPTION)
    words = " ".join(re.sub(r"[_\\]", " ", facts.text(tag).upper()) for tag in tags)
    if UNPROCESSED.search(words):
        return Processing.UNPROCESSED
    if COMPANION.search(words):
        return Processing.COMPANION
    return Processing.COLOUR if (facts.integer(SAMPLES) or 1) > 1 else Processing.STANDARD


def _acquired(facts: Attributes) -> str:
    """The first moment that is told whole, to the second."""
    moments = [facts.text(ACQUIRED_AT)]
    for day, time in ((ACQUISITION_DATE, ACQUISITION_TIME), (CONTENT_DATE, CONTENT_TIME)):
        moments.append(facts.text(day) + facts.text(time))
    whole = (re.match(r"\d{14}", moment) for moment in moments)
    return next((found.group() for found in whole if found), "")
