"""What a header knows of a study before its images: why it was asked for, the patient's age and sex.

All of it is a help and never a condition: what is absent, damaged, too long or past belief is unknown, and the
image is worth a draft without it. An age that is worked out has the grain of DICOM's own (years, and months below
two years), because a finer one would give the date of birth back to whoever knows the study date. The indication
is free text and may name people: it is patient data wherever it goes. Knows no model.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import date

from pipeline.attributes import CHARACTER_SET, Attributes
from pipeline.errors import BadObject
from pipeline.study import Background

AGE, BIRTH_DATE, SEX = 0x00101010, 0x00100030, 0x00100040
REQUEST_ATTRIBUTES = 0x00400275
PROCEDURE_REASON = 0x00401002  # Reason for the Requested Procedure: in the data set, or in the request's item
STUDY_REASON = 0x00321030  # retired, and still what many archives hold
DIAGNOSES = 0x00081080  # Admitting Diagnoses Description
HISTORY = 0x001021B0  # Additional Patient History
BACKGROUND_TAGS = frozenset(
    {AGE, BIRTH_DATE, SEX, REQUEST_ATTRIBUTES, PROCEDURE_REASON, STUDY_REASON, DIAGNOSES, HISTORY}
)

INDICATION_LIMIT = 500  # characters; twice as long as any of the 3,183 in the training data
OLDEST = 120  # years
SEXES = ("M", "F", "O")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_INFANT_MONTHS = 24  # younger ones are told in months


def background_of(facts: Attributes, study_date: date | None) -> Background:
    """What the header tells; `study_date` is needed where it has a date of birth instead of an age."""
    sex = facts.text(SEX).upper()
    age = _stated_age(facts)
    return Background(
        indication=_indication(facts),
        age=_age_at(facts.day(BIRTH_DATE), study_date) if age is None else age,
        sex=sex if sex in SEXES else "",
    )


def clean(text: str) -> str:
    """Free text as one line of at most `INDICATION_LIMIT` characters; "" where no letter is in it."""
    line = " ".join("".join(_visible(letter) for letter in text).split())[:INDICATION_LIMIT].rstrip()
    return line if any(letter.isalpha() for letter in line) else ""


def first_known(backgrounds: Iterable[Background]) -> Background:
    """Each field as the first says it that knows it."""
    told = tuple(backgrounds)
    return Background(
        indication=next((one.indication for one in told if one.indication), ""),
        age=next((one.age for one in told if one.age is not None), None),
        sex=next((one.sex for one in told if one.sex), ""),
    )


def is_age(years: float) -> bool:
    """Whether somebody can be of this age."""
    return 0 <= years <= OLDEST


def _visible(letter: str) -> str:
    """The character, or a blank for what controls, formats or is half of one."""
    return " " if unicodedata.category(letter).startswith(("C", "Z")) else letter


def _indication(facts: Attributes) -> str:
    told = (
        facts.prose(PROCEDURE_REASON),
        facts.prose(STUDY_REASON),
        _request_reason(facts),
        facts.prose(DIAGNOSES).replace("\\", "; "),  # the only one of several values
        facts.prose(HISTORY),
    )
    return next((text for raw in told if (text := clean(raw))), "")


def _request_reason(facts: Attributes) -> str:
    try:
        request = facts.item(REQUEST_ATTRIBUTES, frozenset({CHARACTER_SET, PROCEDURE_REASON}))
    except BadObject:
        return ""
    return request.prose(PROCEDURE_REASON) if request else ""


def _stated_age(facts: Attributes) -> float | None:
    """Patient's Age in years. None for "000Y" too: writers put it where they know none."""
    match = re.fullmatch(r"([0-9]{1,4}) *([DWMY])", facts.text(AGE).upper())
    if match is None:
        return None
    number, unit = int(match[1]), match[2]
    years = number * _YEARS[unit]
    return years if is_age(years) and (number or unit != "Y") else None


def _age_at(birth: date | None, day: date | None) -> float | None:
    if birth is None or day is None:
        return None
    months = 12 * (day.year - birth.year) + day.month - birth.month - (day.day < birth.day)
    years = months / 12 if months < _INFANT_MONTHS else float(months // 12)
    return years if is_age(years) else None
