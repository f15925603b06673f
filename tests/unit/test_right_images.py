"""Synthetic studies as archives hold them: which image is chosen, and the reason that every other one is given."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pipeline.assembly import assemble, refusal
from pipeline.manifest import Accepts
from pipeline.ranking import Candidate
from pipeline.rules import NO_RULES, Rules
from pipeline.rules_file import parse_rules
from pipeline.study import Converted
from tests.dicom_builder import CR_IMAGE, CT_IMAGE, SECONDARY_CAPTURE, convert_bytes, dicom_bytes, ramp
from worker.facts import candidate_of

ACCEPTS = Accepts(modalities=("CR", "DX"), body_parts=("CHEST", ""), frontal="optional", lateral="optional")
LABEL = "champion 1"
MG_IMAGE, DX_RAW = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.1.1"
STORED = datetime(2024, 3, 1, tzinfo=UTC)
PA, LATERAL = {"ViewPosition": "PA"}, {"ViewPosition": "LL"}


def decide(*, rules: Rules = NO_RULES, **objects: dict[str, Any]) -> dict[str, str]:
    """What becomes of each named object: a role, or why it has none; "study" where the study is refused."""
    told: dict[str, str] = {}
    candidates: list[Candidate] = []
    for number, (name, elements) in enumerate(objects.items()):
        pixels = elements.get("pixels")
        named = {"SOPInstanceUID": f"1.2.3.{number}", **elements}
        named.pop("pixels", None)
        content = dicom_bytes(pixels, **named)
        result = convert_bytes(content, rules=rules)
        if isinstance(result, Converted):
            candidates.append(candidate_of(result.header, id=number, last_modified=STORED, sha256=result.sha256))
        else:
            told[name] = result.reason
    names = list(objects)
    found = tuple(candidates)
    assembly = assemble(found, ACCEPTS, label=LABEL)
    reason = refusal(found, assembly, ACCEPTS, label=LABEL)
    told |= {names[choice.id]: choice.reason for choice in assembly.choices}
    return told | ({"study": reason} if reason else {})


def test_one_exposure_for_processing_and_for_presentation() -> None:
    assert decide(
        seen=PA | {"PresentationIntentType": "FOR PRESENTATION"},
        raw=PA | {"PresentationIntentType": "FOR PROCESSING"},
        twin=PA | {"SOPClassUID": DX_RAW},
    ) == {
        "seen": "frontal",
        "raw": "raw detector data: Presentation Intent Type is FOR PROCESSING",
        "twin": "raw detector data: Digital X-Ray Image Storage - For Processing",
    }


@pytest.mark.parametrize(
    ("elements", "processing"),
    [
        ({"SeriesDescription": "PA unprocessed"}, "unprocessed"),
        ({"AcquisitionDeviceProcessingDescription": "RAW"}, "unprocessed"),
        ({"ImageType": ["DERIVED", "PRIMARY", "BONE_SUPPRESSED"]}, "companion"),
        ({"SeriesDescription": "PA Enhanced for tubes"}, "companion"),
        ({"SeriesDescription": "Dual Energy soft"}, "companion"),
    ],
)
def test_several_versions_of_one_exposure(elements: dict[str, Any], processing: str) -> None:
    larger = {"pixels": ramp(32, 32), "AcquisitionDateTime": "20240229101600"}
    assert decide(seen=PA | {"AcquisitionDateTime": "20240229101500"}, other=PA | larger | elements) == {
        "seen": "frontal",
        "other": f"{processing}, and a standard frontal view was chosen",
    }
    assert decide(other=PA | elements) == {"other": f"frontal, {processing}: nothing better came"}


def test_a_repeat_replaces_what_it_repeats() -> None:
    assert decide(
        repeat=PA | {"AcquisitionDate": "20240229", "AcquisitionTime": "101530.123"},
        first=PA | {"ContentDate": "20240229", "ContentTime": "101459", "pixels": ramp(17, 17)},
        side=LATERAL | {"AcquisitionDateTime": "20240229102000"},
    ) == {
        "repeat": "frontal",
        "first": "a later exposure of the frontal view was chosen",
        "side": "lateral",
    }


def test_a_reduced_copy_is_no_repeat() -> None:
    assert decide(
        full=PA | {"AcquisitionDateTime": "20240229101500", "pixels": ramp(32, 32)},
        copy=PA | {"AcquisitionDateTime": "20240229103000"},
    ) == {"full": "frontal", "copy": "a larger frontal view was chosen"}


def test_upright_pa_before_portable_ap_even_if_the_portable_came_later() -> None:
    assert decide(
        upright=PA | {"AcquisitionDateTime": "20240229080000"},
        portable={"ViewPosition": "AP", "AcquisitionDateTime": "20240229230000"},
        silent={"ViewPosition": None, "PatientOrientation": ["L", "F"]},
    ) == {
        "upright": "frontal",
        "portable": "its beam is AP; that of the frontal view chosen is PA",
        "silent": "its beam is not stated; that of the frontal view chosen is PA",
    }


def test_a_portable_alone_is_reported() -> None:
    assert decide(portable={"ViewPosition": "AP", "SOPClassUID": CR_IMAGE, "Modality": "CR"}) == {
        "portable": "frontal"
    }


@pytest.mark.parametrize("position", ["LLD", "RLD", "RAO", "LPO", "OBLIQUE", "DECUBITUS"])
def test_obliques_and_decubitus_views_never_stand_in(position: str) -> None:
    reason = "an oblique or decubitus view"
    assert decide(pa=PA, tilted={"ViewPosition": position, "pixels": ramp(32, 32)}) == {
        "pa": "frontal",
        "tilted": reason,
    }
    assert decide(tilted={"ViewPosition": position}) == {"tilted": reason, "study": reason}


def test_a_child_is_reported_like_anybody_unless_a_rule_says_otherwise() -> None:
    child = {"ViewPosition": "AP", "PatientAge": "004Y"}
    assert decide(child=child) == {"child": "frontal"}
    rules = parse_rules(b"rules: [{name: children, when: {PatientAge: {below: 16}}, do: skip}]", "x")
    assert decide(child=child, rules=rules) == {
        "child": "the site's rule 'children' skips it",
        "study": "no image for this model",
    }
    assert decide(adult=PA | {"PatientAge": "016Y"}, rules=rules) == {"adult": "frontal"}
    assert decide(silent=PA, rules=rules) == {"silent": "frontal"}


@pytest.mark.parametrize("body_part", ["HAND", "ABDOMEN", "CSPINE", "Smith^John"])
def test_other_body_parts_of_the_same_study(body_part: str) -> None:
    named = body_part if body_part.isupper() else "a body part that is no defined term"
    assert decide(chest=PA, other={"BodyPartExamined": body_part, "pixels": ramp(32, 32)}) == {
        "chest": "frontal",
        "other": f"{named} is not for champion 1",
    }


def test_what_is_no_radiograph_of_a_chest() -> None:
    capture = {"SOPClassUID": SECONDARY_CAPTURE}
    assert decide(
        chest=PA,
        breast={"SOPClassUID": MG_IMAGE, "Modality": "MG"},
        breast_as_cr={"SOPClassUID": CR_IMAGE, "Modality": "CR", "BodyPartExamined": "BREAST"},
        localiser={"SOPClassUID": CT_IMAGE, "Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        copied_localiser=capture | {"ImageType": ["DERIVED", "SECONDARY", "LOCALIZER"]},
        workstation=capture | {"ConversionType": "WSD"},
        paper=capture | {"ConversionType": "SD"},
        screenshot=capture | {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
        silent_capture=capture | {"Modality": None},
        other_capture=capture | {"Modality": "OT"},
    ) == {
        "chest": "frontal",
        "breast": "not a radiograph: Digital Mammography X-Ray Image Storage - For Presentation",
        "breast_as_cr": "BREAST is not for champion 1",
        "localiser": "not a radiograph: CT Image Storage",
        "copied_localiser": "a localiser, not a radiograph: Image Type says so",
        "workstation": "quarantined: a secondary capture of Conversion Type WSD may show the patient's name",
        "paper": "quarantined: a secondary capture of Conversion Type SD may show the patient's name",
        "screenshot": "quarantined: Image Type says that it is a picture of a screen, "
        "which may show the patient's name",
        "silent_capture": "nothing says that it is a radiograph: neither SOP Class nor Modality",
        "other_capture": "not a radiograph: Modality OT",
    }


def test_a_digitised_film_is_a_radiograph() -> None:
    film = {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "CR", "ConversionType": "DF"}
    assert decide(film=PA | film) == {"film": "frontal"}


def test_a_colour_copy_yields_to_the_grey_original() -> None:
    colour = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    copy = {
        "pixels": colour,
        "SOPClassUID": SECONDARY_CAPTURE,
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "Rows": 16,
        "Columns": 16,
    }
    assert decide(chest=PA, copy=PA | copy) == {
        "chest": "frontal",
        "copy": "coloured, and a standard frontal view was chosen",
    }


def test_rules_prefer_avoid_keep_and_name_themselves() -> None:
    rules = parse_rules(
        b"""
rules:
  - {name: reading room, when: {StationName: {equals: dx-1}}, do: prefer}
  - {name: ward, when: {StationName: {contains: ward}}, do: avoid}
  - {name: hands, when: {SeriesDescription: {matches: '^hand'}}, do: keep, models: [hands]}
""",
        "site.yaml",
    )
    ap = {"ViewPosition": "AP"}
    assert decide(
        rules=rules,
        ward=PA | {"StationName": "WARD 7"},
        room=ap | {"StationName": "DX-1"},
        plain=PA,
        hand=PA | {"SeriesDescription": "Hand left"},
    ) == {
        "room": "frontal, preferred by the site's rule 'reading room'",
        "ward": "the site's rule 'reading room' prefers another frontal view",
        "plain": "the site's rule 'reading room' prefers another frontal view",
        "hand": "the site's rule 'hands' keeps it for hands",
    }
    assert decide(rules=rules, ward=PA | {"StationName": "Ward 7"}, plain=ap) == {
        "ward": "the site's rule 'ward' avoids it, and there is another frontal view",
        "plain": "frontal",
    }
    assert decide(rules=rules, ward=PA | {"StationName": "Ward 7"}) == {
        "ward": "frontal, though the site's rule 'ward' avoids it"
    }
