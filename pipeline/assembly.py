"""From a study's converted instances to a model's views: which is frontal, which lateral, and why not the others.

Also: whether a model accepts the study at all.

Deterministic: the order in which instances arrive changes nothing. Knows what headers and the view classifier
told, no pixels. How images of one projection rank is in `ranking`.
"""

from dataclasses import dataclass

from pipeline.manifest import REQUIRED, Accepts
from pipeline.ranking import Candidate, best, why_not
from pipeline.study import VIEW_CLASSIFIER, Processing, Projection

# Defined terms of Body Part Examined (PS3.16 annex L) that radiographs carry.
_TERMS = """
ABDOMEN ABDOMENPELVIS ANKLE ARM BACK BREAST CALCANEUS CALF CERVICALSPINE CHEST CHESTABDOMEN CLAVICLE COCCYX CSPINE
ELBOW EXTREMITY EYE FACE FACIALBONES FEMUR FINGER FOOT FOREARM HAND HEAD HEADNECK HEEL HIP HUMERUS JAW KNEE LEG
LOWERLEG LSPINE LSSPINE LUMBARSPINE MANDIBLE MAXILLA NECK NOSE ORBIT PATELLA PELVIS RADIUS RIB RIBS SACRUM SCAPULA
SHOULDER SKULL SPINE STERNUM TEETH THIGH THORAX THUMB TIBIA TIBIAFIBULA TLSPINE TMJ TOE TSPINE ULNA UPPERARM
WHOLEBODY WHOLESPINE WRIST ZYGOMA
"""
BODY_PARTS = frozenset(_TERMS.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What became of one instance."""

    id: int
    used: bool
    reason: str  # the role when used, else why not


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembly:
    """The chosen views by candidate id, and one choice for each candidate, in order of id."""

    frontal: int | None
    lateral: int | None
    choices: tuple[Choice, ...]


def assemble(candidates: tuple[Candidate, ...], accepts: Accepts, *, label: str) -> Assembly:
    """Choose the views. `label` names the model in reasons, e.g. "starter 1"."""
    reasons: dict[int, str] = {}
    fit = [one for one in candidates if not _set_aside(one, _unfit(one, accepts, label), reasons)]
    distinct = _newest_of_each(fit, reasons)
    frontal, note = _frontal(distinct)
    lateral = best([one for one in distinct if one.projection is Projection.LATERAL])
    alone = "" if frontal else ", alone: there is no frontal view"
    roles = {one.id: role for one, role in ((frontal, f"frontal{note}"), (lateral, f"lateral{alone}")) if one}
    for one in distinct:
        reasons.setdefault(one.id, _left_over(one, frontal, lateral))
    choices = tuple(
        Choice(
            id=one.id,
            used=one.id in roles,
            reason=f"{roles[one.id]}{_remarks(one)}" if one.id in roles else reasons[one.id],
        )
        for one in sorted(candidates, key=lambda one: one.id)
    )
    return Assembly(
        frontal=frontal.id if frontal else None,
        lateral=lateral.id if lateral else None,
        choices=choices,
    )


def refusal(candidates: tuple[Candidate, ...], assembly: Assembly, accepts: Accepts, *, label: str) -> str | None:
    """Why the model does not report this study; None when it does."""
    if not candidates:
        return "no image for this model"
    unfit = [_unfit(one, accepts, label) or _roleless(one) for one in candidates]
    if all(unfit):
        return "; ".join(sorted({reason for reason in unfit if reason}))
    views = {"frontal": assembly.frontal, "lateral": assembly.lateral}
    missing = [view for view, chosen in views.items() if chosen is None and getattr(accepts, view) == REQUIRED]
    if not missing:
        return None
    held = " and ".join(f"1 {view}" for view, chosen in views.items() if chosen is not None)
    return f"{label} needs a {' and a '.join(missing)} view; the study has {held or 'none'}"


def _unfit(one: Candidate, accepts: Accepts, label: str) -> str:
    """Why the model does not accept the instance; "" when it does."""
    if one.modality and one.modality not in accepts.modalities:
        return f"Modality {one.modality} is not for {label}"
    if one.body_part_examined not in accepts.body_parts:
        return f"{_named(one.body_part_examined)} is not for {label}"
    allowed = one.standing.models
    if allowed and label.rpartition(" ")[0] not in allowed:
        return f"the site's rule {one.standing.rule!r} keeps it for {', '.join(allowed)}"
    return ""


def _roleless(one: Candidate) -> str:
    """Why no model takes the instance for one of its views; "" when one may."""
    return "an oblique or decubitus view" if one.projection is Projection.OTHER else ""


def _remarks(one: Candidate) -> str:
    """What is odd about an image that is used."""
    standing = one.standing
    remarks = [
        f", preferred by the site's rule {standing.rule!r}" if standing.preference > 0 else "",
        f", though the site's rule {standing.rule!r} avoids it" if standing.preference < 0 else "",
        ", by the look of it" if one.projection_source == VIEW_CLASSIFIER else "",
        "" if standing.processing is Processing.STANDARD else f", {standing.processing}: nothing better came",
    ]
    return "".join(remarks)


def _set_aside(one: Candidate, reason: str, reasons: dict[int, str]) -> bool:
    if reason:
        reasons[one.id] = reason
    return bool(reason)


def _named(body_part: str) -> str:
    """The body part as a reason may tell it: headers hold anything there, a patient's name included."""
    if not body_part:
        return "an unstated body part"
    return body_part if body_part in BODY_PARTS else "a body part that is no defined term"


def _newest_of_each(candidates: list[Candidate], reasons: dict[int, str]) -> list[Candidate]:
    """One candidate for each SOP Instance UID: the newest; the lowest id where the bytes are the same."""
    chosen: dict[str, Candidate] = {}
    for one in sorted(candidates, key=lambda one: (one.last_modified, one.id)):
        earlier = chosen.get(one.sop_instance_uid)
        if earlier is None:
            chosen[one.sop_instance_uid] = one
        elif earlier.sha256 == one.sha256:
            reasons[one.id] = "the same object again"
        else:
            reasons[earlier.id] = "replaced by a newer version of the same instance"
            chosen[one.sop_instance_uid] = one
    return sorted(chosen.values(), key=lambda one: one.id)


def _frontal(candidates: list[Candidate]) -> tuple[Candidate | None, str]:
    stated = best([one for one in candidates if one.projection is Projection.FRONTAL])
    if stated is not None:
        return stated, ""
    unknown = best([one for one in candidates if one.projection is Projection.UNKNOWN])
    return unknown, ", taken for it: its projection is unknown" if unknown else ""


def _left_over(one: Candidate, frontal: Candidate | None, lateral: Candidate | None) -> str:
    if reason := _roleless(one):
        return reason
    winner = lateral if one.projection is Projection.LATERAL else frontal
    if one.projection is Projection.UNKNOWN and frontal and frontal.projection is Projection.FRONTAL:
        return "projection unknown, and there is a frontal view"
    assert winner is not None  # `one` is of the winner's projection
    return why_not(one, winner)
