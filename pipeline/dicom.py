"""Bytes to header facts; and the gate: what we take and what we refuse, by name.

We take radiographs meant to be looked at: Computed Radiography, Digital X-Ray for presentation, and secondary
captures or class-less objects, as long as a stated Modality is CR, DX or RG. A secondary capture whose own
Conversion Type says that a workstation drew it is a screenshot (PS3.15 E.3.1 assumes burned-in text): refused.
The body part is recorded, not judged: a model's manifest does that. A dog's thorax passes when its header hides
it.

Assumes Part 10 files, and files without preamble when they begin with group 0002 or 0008. Reads no pixel data.
"""

from dataclasses import dataclass

from pydicom import config
from pydicom.uid import UID

from pipeline.attributes import CHARACTER_SET, Attributes
from pipeline.background import background_of
from pipeline.elements import Walker, is_explicit
from pipeline.errors import NotForUs
from pipeline.projection import PROJECTION_TAGS, projection
from pipeline.source import Source
from pipeline.standing import IMAGE_TYPE, STANDING_TAGS, standing
from pipeline.study import Header

CR_IMAGE = "1.2.840.10008.5.1.4.1.1.1"
DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RADIOGRAPH_CLASSES = frozenset(
    {"", CR_IMAGE, DX_FOR_PRESENTATION, DX_FOR_PROCESSING}
    | {SECONDARY_CAPTURE, *(f"{SECONDARY_CAPTURE}.{number}" for number in (2, 3, 4))}
)
RADIOGRAPH_MODALITIES = frozenset({"CR", "DX", "RG"})
# PS3.3 C.7.3.1.1.1; only these are quoted in a reason: any other value may be a patient's name gone astray.
_TERMS = """
ANN AR ASMT AU BDUS BI BMD CD CF CP CR CS CT CTPROTOCOL DD DF DG DM DMS DOC DS DX EC ECG EEG EMG EOG EPS ES FA
FID FS GM HC HD IO IOL IVOCT IVUS KER KO LEN LP LS M3D MA MG MR MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV
OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV
SC SEG SM SMR SR SRF ST STAIN TG US VA VF XA XAPROTOCOL XC
"""
MODALITIES = frozenset(_TERMS.split())
# Conversion Type: workstation, drawing, synthetic, scanned document
DRAWN = frozenset({"WSD", "DRW", "SYN", "SD"})
SCREENS = frozenset({"SCREENSHOT", "SCREEN SAVE", "SCREENSAVE", "SCREEN_SAVE", "SCREEN CAPTURE", "SCREENCAPTURE"})
HUMAN_CODES = frozenset({"337915000", "L-85B00", "L-85003"})

META_CLASS, META_INSTANCE, TRANSFER_SYNTAX = 0x00020002, 0x00020003, 0x00020010
SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
STUDY_DATE, ACCESSION, MODALITY, CONVERSION_TYPE = 0x00080020, 0x00080050, 0x00080060, 0x00080064
INTENT, DESCRIPTION, PATIENT_NAME, PATIENT_ID = 0x00080068, 0x00081030, 0x00100010, 0x00100020
SPECIES, SPECIES_CODE, BREED, NEUTERED = 0x00102201, 0x00102202, 0x00102292, 0x00102203
BODY_PART, CODE_VALUE, BURNED_IN = 0x00180015, 0x00080100, 0x00280301
PHOTOMETRIC, ROWS, COLUMNS, BITS_STORED = 0x00280004, 0x00280010, 0x00280011, 0x00280101
PIXEL_TAGS = 0x7FE00008  # Float, Double Float and Pixel Data follow from here
PIXEL_DATA = 0x7FE00010

META_TAGS = frozenset({META_CLASS, META_INSTANCE, TRANSFER_SYNTAX})
IDENTITY_TAGS = (
    frozenset({CHARACTER_SET, SOP_CLASS, SOP_INSTANCE, STUDY, SERIES, STUDY_DATE, ACCESSION, MODALITY})
    | frozenset({CONVERSION_TYPE, INTENT, DESCRIPTION, PATIENT_NAME, PATIENT_ID, SPECIES, SPECIES_CODE, BREED})
    | frozenset({NEUTERED, BODY_PART})
    | PROJECTION_TAGS
    | STANDING_TAGS
)
AFTER_IDENTITY = 0x00210000

DEFLATED, IMPLICIT_LITTLE, EXPLICIT_BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """A data set that was begun: what its file meta information said, and the walker at its first element."""

    walker: Walker
    transfer_syntax: str  # as stated, else as the first element shows
    sop_class: str
    sop_instance: str


def open_data_set(source: Source) -> Opening:
    """Read preamble and file meta information (PS3.10 7.1); NotForUs when this is no DICOM."""
    _pass_preamble(source)
    walker = Walker(source, implicit=False)
    meta = Attributes(walker.walk(META_TAGS, until=0x00030000))
    walker.put_back()
    syntax = meta.uid(TRANSFER_SYNTAX)
    if syntax == DEFLATED:
        source.inflate()
    explicit = is_explicit(source)
    big = syntax == EXPLICIT_BIG
    if not syntax:
        big = explicit and source.peek(1) == b"\0"  # group 0008 in big endian
        syntax = EXPLICIT_BIG if big else "1.2.840.10008.1.2.1" if explicit else IMPLICIT_LITTLE
    return Opening(
        walker=Walker(source, implicit=not explicit, big_endian=big),
        transfer_syntax=syntax,
        sop_class=meta.uid(META_CLASS),
        sop_instance=meta.identifier(META_INSTANCE),
    )


def _pass_preamble(source: Source) -> None:
    start = source.peek(132)
    if start[128:] == b"DICM":
        source.skip(132)
        return
    if not start:
        raise NotForUs("not DICOM: the object is empty")
    if not _is_element(start):
        raise NotForUs(f"not DICOM: {_kind(start)}")


def _is_element(start: bytes) -> bool:
    """Whether bytes without a preamble look like a first data element: group 0002 or 0008, a VR or short value."""
    if start[:2] == b"\0\x08":
        return start[4:6].isalpha()  # big endian is always explicit
    return start[:2] in (b"\x02\0", b"\x08\0") and (start[4:6].isalpha() or start[6:8] == b"\0\0")


def _kind(start: bytes) -> str:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page"
    for magic, name in _MAGICS.items():
        if start.startswith(magic):
            return name
    return "neither a DICM prefix nor a data element at its beginning"


_MAGICS = {
    b"MZ": "a program",
    b"\x7fELF": "a program",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"{": "a JSON text",
    b"<?xml": "an XML text",
}


def header_of(facts: Attributes, opening: Opening) -> Header:
    """The identifying part of a header. `facts` may lack what stands later in the data set."""
    seen, source = projection(facts)
    study_date = facts.day(STUDY_DATE)
    return Header(
        sop_instance_uid=facts.identifier(SOP_INSTANCE) or opening.sop_instance,
        sop_class_uid=facts.uid(SOP_CLASS) or opening.sop_class,
        study_instance_uid=facts.identifier(STUDY),
        series_instance_uid=facts.identifier(SERIES),
        transfer_syntax_uid=opening.transfer_syntax,
        modality=facts.text(MODALITY).upper(),
        photometric_interpretation=facts.text(PHOTOMETRIC).upper(),
        rows=facts.integer(ROWS),
        columns=facts.integer(COLUMNS),
        bits_stored=facts.integer(BITS_STORED),
        body_part_examined=facts.text(BODY_PART).upper(),
        projection=seen,
        projection_source=source,
        standing=standing(facts),
        study_date=study_date,
        study_description=facts.text(DESCRIPTION),
        patient_id=facts.text(PATIENT_ID),
        patient_name=facts.text(PATIENT_NAME),
        accession_number=facts.text(ACCESSION),
        background=background_of(facts, study_date),
    )


def refusal(header: Header, facts: Attributes) -> str | None:
    """Why this object is not for us, judged by what stands before its pixels; None when it is a radiograph."""
    return class_refusal(header) or _use_refusal(header, facts) or _species_refusal(facts)


def class_refusal(header: Header) -> str | None:
    """The part of `refusal` that needs the first groups of the header only."""
    if header.sop_class_uid == DX_FOR_PROCESSING:
        return f"raw detector data: {_class_name(DX_FOR_PROCESSING)}"
    if header.sop_class_uid not in RADIOGRAPH_CLASSES:
        name = _class_name(header.sop_class_uid)
        unknown = name == header.sop_class_uid
        return f"not a radiograph: {name}" if "Image" in name or unknown else f"no image: {name}"
    if header.modality in RADIOGRAPH_MODALITIES:
        return None
    if header.modality:
        known = header.modality if header.modality in MODALITIES else "of no defined term"
        return f"not a radiograph: Modality {known}"
    if header.sop_class_uid in (CR_IMAGE, DX_FOR_PRESENTATION):
        return None
    return "nothing says that it is a radiograph: neither SOP Class nor Modality"


def _class_name(uid: str) -> str:
    return UID(uid, validation_mode=config.IGNORE).name


def _use_refusal(header: Header, facts: Attributes) -> str | None:
    if "FOR PROCESSING" in facts.texts(INTENT):
        return "raw detector data: Presentation Intent Type is FOR PROCESSING"
    if "YES" in facts.texts(BURNED_IN):
        return "quarantined: Burned In Annotation is YES, the pixels may name the patient"
    if "LOCALIZER" in facts.texts(IMAGE_TYPE):
        return "a localiser, not a radiograph: Image Type says so"
    if SCREENS.intersection(facts.texts(IMAGE_TYPE)):
        return "quarantined: Image Type says that it is a picture of a screen, which may show the patient's name"
    drawn = DRAWN.intersection(facts.texts(CONVERSION_TYPE))
    if drawn and "NO" not in facts.texts(BURNED_IN) and header.sop_class_uid.startswith(SECONDARY_CAPTURE):
        return f"quarantined: a secondary capture of Conversion Type {min(drawn)} may show the patient's name"
    return None


def _species_refusal(facts: Attributes) -> str | None:
    stated = facts.text(SPECIES).lower()
    code = facts.item(SPECIES_CODE, frozenset({CODE_VALUE}))
    if (code and code.text(CODE_VALUE) not in {"", *HUMAN_CODES}) or (
        stated and not any(word in stated for word in ("homo sapiens", "human"))
    ):
        return "not a human: Patient Species says so"
    if facts.text(BREED) or facts.text(NEUTERED):
        return "not a human: the header states a breed or neutering"
    return None
