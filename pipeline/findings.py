"""Report text -> statements: which findings are said to be present, absent or uncertain, sentence by sentence.

A rule-based extractor in the manner of NegEx and the CheXpert labeler; its words are data in
`pipeline.finding_rules`. Each sentence is judged alone. A mention is negated or made uncertain by a cue in the
same clause, before it or right after it; cues that only look like negations ("no change in") are set aside first.
Where a sentence mentions a finding twice, present beats uncertain beats absent. "No Finding" is stated when a
report sums up that nothing was found and names nothing. Assumes English; does not know misspellings or what a
model saw.
"""

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import NamedTuple

from pipeline.finding_cues import (
    ALTERNATIVE,
    CLAUSE_END,
    COMMA_ENDS_BEFORE,
    LINKING,
    NEGATION_AFTER,
    NEGATION_BEFORE,
    NORMAL_STATEMENTS,
    NOT_A_NEGATION,
    NOT_BETWEEN,
    UNCERTAIN_AFTER,
    UNCERTAIN_BEFORE,
)
from pipeline.finding_rules import RULES
from pipeline.study import Finding, Polarity

NO_FINDING = "No Finding"
CHEXPERT = (  # the 14 labels, by the names that rules give them
    *("Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation"),
    *("Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture"),
    *("Support Devices", NO_FINDING),
)
LABELS = tuple(dict.fromkeys([*(label for rule in RULES for label in rule.labels), NO_FINDING]))
TELLABLE = frozenset(LABELS) | {label.split("/")[0] for label in LABELS}  # what `present_labels` can hold
_STRENGTH = {Polarity.ABSENT: 0, Polarity.UNCERTAIN: 1, Polarity.PRESENT: 2}
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")


def _words(phrases: Iterable[str]) -> str:
    return rf"\b(?:{'|'.join(phrases)})\b"


def _after(phrases: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"\s*(?:{LINKING} )?(?:(?!(?:{NOT_BETWEEN})\b)\w+ )?{_words(phrases)}")


_CLAUSE_END = re.compile(rf"[;:]|{_words(CLAUSE_END)}|, {_words(COMMA_ENDS_BEFORE)}")
_NOT_A_NEGATION = re.compile(_words(NOT_A_NEGATION))
_NEGATION_BEFORE = re.compile(_words(NEGATION_BEFORE))
_NEGATION_AFTER = _after(NEGATION_AFTER)
_UNCERTAIN_BEFORE = re.compile(_words(UNCERTAIN_BEFORE))
_UNCERTAIN_AFTER = _after(UNCERTAIN_AFTER)
_OR_AFTER = re.compile(rf"\s*{_words([ALTERNATIVE])}")
_OR_BEFORE = re.compile(rf"{_words([ALTERNATIVE])} (?:[\w-]+ ){{0,3}}$")
_NORMAL = re.compile("|".join(f"^{text}" for text in NORMAL_STATEMENTS))


class _Pattern(NamedTuple):
    labels: tuple[str, ...]
    pattern: re.Pattern[str]
    absent: bool


@cache
def _patterns() -> tuple[_Pattern, ...]:
    return tuple(
        _Pattern(rule.labels, re.compile(rf"(?<![a-z]){text}"), absent)
        for rule in RULES
        for texts, absent in ((rule.present, False), (rule.absent, True))
        for text in texts
    )


def extract(report: str) -> tuple[Finding, ...]:
    """Every statement of a report, in the order of its sentences."""
    found: list[Finding] = []
    for sentence in split_sentences(report):
        found += _statements(sentence)
    if not any(item.polarity is not Polarity.ABSENT for item in found):
        found += _summaries(report)
    return tuple(found)


def split_sentences(report: str) -> list[str]:
    """The sentences as they are judged, one by one."""
    return [part.strip() for part in _SENTENCES.split(report) if part.strip()]


def present_labels(statements: Iterable[Finding], *, uncertain: bool = True) -> frozenset[str]:
    """Return the labels said to be there; uncertain mentions count unless told otherwise.

    Qualified labels also count for their problem: "Lung/hypoinflation" is "Lung".
    """
    wanted = {Polarity.PRESENT, Polarity.UNCERTAIN} if uncertain else {Polarity.PRESENT}
    labels = {item.label for item in statements if item.polarity in wanted}
    return frozenset(labels | {label.split("/")[0] for label in labels})


class Said(NamedTuple):
    """The labels that one sentence names, uncertain ones among them, and those it says not to be there."""

    named: frozenset[str]
    denied: frozenset[str]


@lru_cache(maxsize=100_000)
def said(sentence: str) -> Said:
    """What one sentence says; drafts and reports repeat each other's."""
    statements = extract(sentence)
    denied = frozenset(item.label for item in statements if item.polarity is Polarity.ABSENT)
    return Said(named=present_labels(statements), denied=denied)


def _summaries(report: str) -> list[Finding]:
    normal = (part for part in split_sentences(report) if _NORMAL.search(part.lower().rstrip(". ")))
    return [Finding(label=NO_FINDING, polarity=Polarity.PRESENT, sentence=part) for part in normal][:1]


def _statements(sentence: str) -> list[Finding]:
    text = " ".join(sentence.lower().split())
    polarities: dict[str, Polarity] = {}
    for labels, pattern, absent in _patterns():
        for match in pattern.finditer(text):
            polarity = Polarity.ABSENT if absent else _judge(text, match.start(), match.end())
            for label in labels:
                known = polarities.get(label, Polarity.ABSENT)
                polarities[label] = max(known, polarity, key=_STRENGTH.__getitem__)
    return [Finding(label=label, polarity=value, sentence=sentence) for label, value in polarities.items()]


def _judge(text: str, start: int, end: int) -> Polarity:
    """The polarity of a mention at text[start:end], by the cues of its clause."""
    clause = _clause_before(text[:start]) + text[start:end]
    clause = _NOT_A_NEGATION.sub(lambda match: " " * len(match.group()), clause)
    if _UNCERTAIN_AFTER.match(text[end:]):
        return Polarity.UNCERTAIN
    uncertain = _UNCERTAIN_BEFORE.search(clause)
    without_uncertainty = _UNCERTAIN_BEFORE.sub(lambda match: " " * len(match.group()), clause)
    negation = _NEGATION_BEFORE.search(without_uncertainty)
    if negation and not (uncertain and uncertain.start() < negation.start()):
        return Polarity.ABSENT  # "no effusion", and "no opacity to suggest pneumonia"
    if _NEGATION_AFTER.match(text[end:]):
        return Polarity.ABSENT
    alternative = _OR_AFTER.match(text[end:]) or _OR_BEFORE.search(_clause_before(text[:start]))
    return Polarity.UNCERTAIN if uncertain or alternative else Polarity.PRESENT


def _clause_before(text: str) -> str:
    ends = [match.end() for match in _CLAUSE_END.finditer(text)]
    return text[ends[-1] :] if ends else text
