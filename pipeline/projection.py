"""From where the X-rays came: ViewPosition, then ViewCodeSequence, then PatientOrientation; else unknown.

A decubitus or oblique view is "other": it is no frontal view as models were taught. Knows no pixels, and does
not believe laterality tags: they say which side, not which projection.
"""

import re

from pipeline.attributes import Attributes
from pipeline.study import Projection

VIEW_POSITION, VIEW_CODES, PATIENT_ORIENTATION, CODE_VALUE = 0x00185101, 0x00540220, 0x00200020, 0x00080100
PROJECTION_TAGS = frozenset({VIEW_POSITION, VIEW_CODES, PATIENT_ORIENTATION})

PA_WORDS, AP_WORDS = frozenset({"PA", "POSTEROANTERIOR"}), frozenset({"AP", "ANTEROPOSTERIOR"})
FRONTAL_WORDS = PA_WORDS | AP_WORDS | {"FRONTAL"}
LATERAL_WORDS = frozenset({"LL", "RL", "LAT", "LATERAL"})
NEITHER_WORDS = frozenset(
    {"LLD", "RLD", "DECUB", "DECUBITUS", "OBL", "OBLIQUE", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO"}
    | {"MLO", "CC", "ML", "LM", "LMO", "XCCL"}  # a breast's, whose orientation would pass for a lateral view's
)
# PS3.16 CID 4010, as SNOMED CT and as the SRT codes before it
FRONTAL_CODES = frozenset({"399348003", "R-10206", "272479007", "R-10214", "R-40888", "399033003"})
LATERAL_CODES = frozenset({"399067008", "R-102CD", "399173006", "R-10236", "399198007", "R-10232"})


def projection(facts: Attributes) -> tuple[Projection, str]:
    """The projection and the keyword of the attribute that told it ("" when none did)."""
    for keyword, told in (
        ("ViewPosition", _from_position(facts)),
        ("ViewCodeSequence", _from_codes(facts)),
        ("PatientOrientation", _from_orientation(facts)),
    ):
        if told is not Projection.UNKNOWN:
            return told, keyword
        if keyword == "ViewPosition" and _is_neither(facts):
            return Projection.OTHER, keyword
    return Projection.UNKNOWN, ""


def beam(facts: Attributes) -> str:
    """Whether View Position says "PA" or "AP"; a portable radiograph is AP."""
    words = _words(facts)
    pa, ap = (not words.isdisjoint(names) for names in (PA_WORDS, AP_WORDS))
    return "" if pa == ap or _is_neither(facts) else "PA" if pa else "AP"


def _words(facts: Attributes) -> set[str]:
    return set(re.split(r"[^A-Z]+", facts.text(VIEW_POSITION).upper()))


def _is_neither(facts: Attributes) -> bool:
    return not _words(facts).isdisjoint(NEITHER_WORDS)


def _from_position(facts: Attributes) -> Projection:
    words = _words(facts)
    frontal, lateral = not words.isdisjoint(FRONTAL_WORDS), not words.isdisjoint(LATERAL_WORDS)
    if frontal == lateral or _is_neither(facts):
        return Projection.UNKNOWN
    return Projection.FRONTAL if frontal else Projection.LATERAL


def _from_codes(facts: Attributes) -> Projection:
    item = facts.item(VIEW_CODES, frozenset({CODE_VALUE}))
    code = item.text(CODE_VALUE) if item else ""
    if code in FRONTAL_CODES:
        return Projection.FRONTAL
    return Projection.LATERAL if code in LATERAL_CODES else Projection.UNKNOWN


def _from_orientation(facts: Attributes) -> Projection:
    """PS3.3 C.7.6.1.1.1: the directions of rows and columns span a plane; their first letters name it."""
    axes = {_AXES.get(direction[:1]) for direction in facts.texts(PATIENT_ORIENTATION)}
    if axes == {"right-left", "head-foot"}:
        return Projection.FRONTAL
    return Projection.LATERAL if axes == {"front-back", "head-foot"} else Projection.UNKNOWN


_AXES = {
    "L": "right-left",
    "R": "right-left",
    "A": "front-back",
    "P": "front-back",
    "H": "head-foot",
    "F": "head-foot",
}
