"""Which studies an evaluation's page shows, and what in their texts agrees, is missed or is invented.

A case's score is the mean of its findings' F1 and its ROUGE-L. The best come from the studies whose reference
names a finding, since a good normal report teaches little; the worst come from all; the random ones are drawn once
for each number of studies. Findings are compared by name, the uncertain counted as named. Knows no HTML.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pycocoevalcap.rouge.rouge import Rouge

from pipeline.finding_rules import RULES
from pipeline.findings import NO_FINDING, extract, split_sentences
from pipeline.study import Polarity
from pipeline.text import clean_r2gen
from training.datasets import Example
from training.drafts import Draft
from training.evaluate import Comparison

SHOWN = 6  # of each kind
NAMES = frozenset(rule.labels[0] for rule in RULES)  # one name per finding, without the CheXpert label beside it


class Mark(StrEnum):
    """What became of a finding."""

    AGREED = "agreed"  # both texts name it
    MISSED = "missed"  # only the reference does
    INVENTED = "invented"  # only the draft does


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence and the findings it names."""

    text: str
    marks: tuple[tuple[str, Mark], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One author's report, marked."""

    findings: tuple[Sentence, ...]
    impression: tuple[Sentence, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One study, what a person wrote and what the model wrote."""

    example: Example
    draft: Draft
    score: float  # 0 to 1
    reference: Text
    generated: Text
    counts: dict[Mark, int]


def choose_cases(comparison: Comparison, shown: int = SHOWN) -> dict[str, list[Case]]:
    """The best, the worst and random cases, none of them twice."""
    cases = [_case(*pair) for pair in zip(comparison.examples, comparison.drafts, strict=True)]
    ranked = sorted(cases, key=lambda case: -case.score)
    best = [case for case in ranked if case.counts[Mark.AGREED] + case.counts[Mark.MISSED]][:shown]
    worst = [case for case in reversed(ranked) if case not in best][:shown]
    rest = [case for case in cases if case not in best and case not in worst]
    dice = random.Random(len(cases))  # noqa: S311 - not for secrets
    return {"best": best, "worst": worst, "random": dice.sample(rest, min(shown, len(rest)))}


def _case(example: Example, draft: Draft) -> Case:
    real = _named(f"{example.findings}\n{example.impression}")
    said = _named(f"{draft.findings}\n{draft.impression}")
    agreed = len(real & said)
    f1 = 2 * agreed / (len(real) + len(said)) if real or said else 1.0
    overlap = Rouge().calc_score([clean_r2gen(draft.findings)], [clean_r2gen(example.findings)])
    return Case(
        example=example,
        draft=draft,
        score=float(f1 + overlap) / 2,
        reference=_marked(example.findings, example.impression, said, Mark.MISSED),
        generated=_marked(draft.findings, draft.impression, real, Mark.INVENTED),
        counts={
            Mark.AGREED: agreed,
            Mark.MISSED: len(real - said),
            Mark.INVENTED: len(said - real),
        },
    )


def _named(text: str) -> frozenset[str]:
    statements = (item for item in extract(text) if item.polarity is not Polarity.ABSENT)
    return frozenset(item.label for item in statements if item.label in NAMES)


def _marked(findings: str, impression: str, others: frozenset[str], alone: Mark) -> Text:
    return Text(
        findings=tuple(_sentences(findings, others, alone)),
        impression=tuple(_sentences(impression, others, alone)),
    )


def _sentences(text: str, others: frozenset[str], alone: Mark) -> Iterable[Sentence]:
    for sentence in split_sentences(text):
        named = sorted(_named(sentence) - {NO_FINDING})
        marks = tuple((name, Mark.AGREED if name in others else alone) for name in named)
        yield Sentence(text=sentence, marks=marks)


def worst_mark(sentence: Sentence) -> str:
    """How a whole sentence is shown: by what went wrong in it, if anything."""
    marks: Sequence[Mark] = [mark for _, mark in sentence.marks]
    wrong = [mark for mark in marks if mark is not Mark.AGREED]
    return str(next(iter([*wrong, *marks]), ""))
