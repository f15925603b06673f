"""The site's rules: which images are skipped, preferred, avoided or kept for some models, by what headers say.

Rules are asked in order; the first whose conditions all hold speaks, the others are not asked. A text is
compared without regard to case, each value of several alone. A header without the attribute has the value "".
Knows no file format: see `rules_file`.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from pipeline.attributes import Attributes
from pipeline.background import background_of
from pipeline.study import Standing

STUDY_DATE = 0x00080020
TAGS = {
    "BodyPartExamined": 0x00180015,
    "ImageType": 0x00080008,
    "InstitutionName": 0x00080080,
    "Manufacturer": 0x00080070,
    "ManufacturerModelName": 0x00081090,
    "Modality": 0x00080060,
    "PatientSex": 0x00100040,
    "PhotometricInterpretation": 0x00280004,
    "PresentationIntentType": 0x00080068,
    "ProtocolName": 0x00181030,
    "SOPClassUID": 0x00080016,
    "SeriesDescription": 0x0008103E,
    "StationName": 0x00081010,
    "StudyDescription": 0x00081030,
    "ViewPosition": 0x00185101,
}
AGE = "PatientAge"  # in years: a number, not a text
AGE_TAGS = frozenset({STUDY_DATE, 0x00101010, 0x00100030})  # the age itself, or the birth date beside the study's
RULE_TAGS = frozenset(TAGS.values()) | AGE_TAGS


class Act(StrEnum):
    """What a rule does with an image."""

    SKIP = "skip"
    PREFER = "prefer"
    AVOID = "avoid"
    KEEP = "keep"  # for the rule's models alone
    TAKE = "take"  # as if no rule spoke: an exception to the rules that follow


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One attribute compared with one or several texts, or a number."""

    attribute: str
    comparison: str  # equals, one_of, contains, matches; at_least, below
    texts: tuple[str, ...] = ()  # in lower case, but for patterns
    number: float = 0.0

    def holds(self, facts: Attributes) -> bool:
        """Whether the header meets it."""
        if self.attribute == AGE:
            age = background_of(facts, facts.day(STUDY_DATE)).age
            return age is not None and (age >= self.number if self.comparison == "at_least" else age < self.number)
        whole = facts.text(TAGS[self.attribute]).casefold()
        values = {whole, *(part.strip() for part in whole.split("\\"))}
        return any(self._meets(value, text) for value in values for text in self.texts)

    def _meets(self, value: str, text: str) -> bool:
        if self.comparison == "contains":
            return text in value
        if self.comparison == "matches":
            return re.search(text, value, re.IGNORECASE) is not None
        return value == text


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule. No condition at all always holds."""

    name: str
    act: Act
    conditions: tuple[Condition, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """All of a site's, in order."""

    rules: tuple[Rule, ...] = ()
    sha256: str = ""  # of the file; "" where the site has none

    def judged(self, facts: Attributes, standing: Standing) -> tuple[Standing, str | None]:
        """The standing with what the rules make of it; and why the image is skipped, where one says so."""
        if not self.sha256:
            return standing, None
        rule = next(
            (one for one in self.rules if all(condition.holds(facts) for condition in one.conditions)), None
        )
        if rule is None:
            return replace(standing, rules_sha256=self.sha256), None
        judged = replace(
            standing,
            rule=rule.name,
            preference={Act.PREFER: 1, Act.AVOID: -1}.get(rule.act, 0),
            models=rule.models,
            rules_sha256=self.sha256,
        )
        return judged, f"the site's rule {rule.name!r} skips it" if rule.act is Act.SKIP else None


NO_RULES = Rules()
