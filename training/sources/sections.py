"""A free-text report -> its sections, by headings in capitals at the start of a line, as in MIMIC-CXR.

Many hospitals' reports look so. Headings are grouped by what they mean; where neither findings nor an impression
is named, the last paragraph counts as the findings. Assumes English. Knows no views and no codes.
"""

import re
from dataclasses import dataclass

_HEADING = re.compile(r"^[ \t]*([A-Z][A-Z ()/,&-]{2,60}?)[ \t]*:", re.MULTILINE)
_VIEWS = r"^(?:PA|AP|FRONTAL|PORTABLE|SINGLE|UPRIGHT|TWO)\b.*(?:CHEST|VIEW|LAT)|^CHEST$"
_OTHER = r"TECHNIQUE|^EXAM|PROCEDURE|^STUDY|^TYPE|^VIEWS|RECOMMENDATION|NOTIFICATION|ADDENDUM"
_MEANINGS = (
    ("impression", re.compile(r"IMPRESSION|CONCLUSION|^SUMMARY|^OPINION")),
    ("findings", re.compile(rf"FINDING|{_VIEWS}")),
    ("comparison", re.compile(r"COMPARISON")),
    ("indication", re.compile(r"INDICATION|HISTORY|REASON FOR")),
    ("technique", re.compile(_OTHER)),
)
_END = re.compile(r"^[ \t]*(?:_{5,}|FINAL REPORT)[ \t]*$", re.MULTILINE)
_GAP = re.compile(r"_{2,}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sections:
    """What of a report is learnt from, each on one line; de-identified words are XXXX."""

    findings: str
    impression: str
    indication: str


def split_report(text: str) -> Sections:
    """Split a report; the same section twice is joined."""
    body = _END.sub("", text.replace("\r\n", "\n"))
    found: dict[str, list[str]] = {}
    headings = [(match, meaning) for match in _HEADING.finditer(body) if (meaning := _meaning(match.group(1)))]
    ends = [*(match.start() for match, _ in headings[1:]), len(body)]
    for (match, meaning), end in zip(headings, ends, strict=False):  # without a heading there is an end alone
        found.setdefault(meaning, []).append(_line(body[match.end() : end]))
    if not ("findings" in found or "impression" in found):
        paragraphs = re.split(r"\n[ \t]*\n", body[headings[-1][0].end() :] if headings else body)
        found["findings"] = [_last(paragraphs[1:] if headings else paragraphs)]
    return Sections(**{name: " ".join(found.get(name, ())).strip() for name in Sections.__dataclass_fields__})


def _meaning(heading: str) -> str:
    return next((name for name, pattern in _MEANINGS if pattern.search(heading)), "")


def _line(text: str) -> str:
    return " ".join(_GAP.sub("XXXX", text).split())


def _last(paragraphs: list[str]) -> str:
    return next((line for line in map(_line, reversed(paragraphs)) if line), "")
