"""A model and the trivial baselines, judged side by side on one split, by every score that we know.

The model is judged through the same `Captioner` that a run uses, on views made by the manifest's preprocessing; a
study that the model does not accept counts as an empty report. The baselines are one constant report (the train
findings with the best BLEU-4 on the very split, which favours it), the most frequent train report and a random
one. Assumes a data set in the form of `training.datasets`.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu

from pipeline.captioner import Captioner
from pipeline.findings import extract, present_labels
from pipeline.study import Report, Reported
from pipeline.text import clean_r2gen
from training.clinical import Clinical, auroc, clinical_scores, scored_labels
from training.datasets import ABNORMAL, NORMAL, Example, ImageArchive, read_examples
from training.scores import ORDERS, R2GenProtocol, Scores, r2gen_scores, seed_scores

CHUNK = 64  # studies whose pixels are in memory at once
SHORTLIST = 40  # train reports that are tried as the constant one


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A report to be judged, wherever it came from."""

    findings: str
    impression: str
    abnormal: float = 0.5  # probability that the study is not normal


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """All scores of one author."""

    name: str
    text: dict[str, Scores]  # protocol -> metric -> score
    coded: Clinical  # findings of the text against the human-coded problems
    extracted: Clinical  # against the findings of the reference text
    auroc: float
    distinct: int  # different texts
    studies: int
    notes: tuple[str, ...] = field(default=())

    @property
    def summary(self) -> Scores:
        """The figures that decide, flat."""
        return {
            **self.text["r2gen"],
            **self.text["seed"],
            "AUROC abnormal": self.auroc,
            "macro F1 problems": self.coded.macro_f1,
            "micro F1 problems": self.coded.micro_f1,
            "macro F1 extracted": self.extracted.macro_f1,
            "micro F1 extracted": self.extracted.micro_f1,
            "distinct texts": self.distinct,
            "studies": self.studies,
        }


def named_labels(findings: str, impression: str) -> frozenset[str]:
    """The findings that a report names."""
    return present_labels(extract(f"{findings}\n{impression}"))


def judge(
    name: str,
    drafts: Sequence[Draft],
    truth: Sequence[Example],
    protocol: R2GenProtocol,
    *,
    meteor: bool = True,
    notes: tuple[str, ...] = (),
) -> Evaluation:
    """Score one author's drafts against what people wrote and coded."""
    text = r2gen_scores([d.findings for d in drafts], [e.findings for e in truth], protocol, meteor=meteor)
    text["seed"] = seed_scores([d.impression for d in drafts], [e.impression for e in truth])
    named = [named_labels(d.findings, d.impression) for d in drafts]
    coded = [e.problems for e in truth]
    written = [named_labels(e.findings, e.impression) for e in truth]
    return Evaluation(
        name=name,
        text=text,
        coded=clinical_scores(named, coded, scored_labels(coded, {NORMAL})),
        extracted=clinical_scores(named, written, scored_labels(written, {"No Finding"})),
        auroc=auroc([d.abnormal for d in drafts], [e.abnormal for e in truth]),
        distinct=len({(d.findings, d.impression) for d in drafts}),
        studies=len(drafts),
        notes=notes,
    )


def model_drafts(captioner: Captioner, examples: Sequence[Example], folder: Path) -> tuple[list[Draft], int]:
    """What the model writes, and how many studies it did not accept."""
    archive = ImageArchive(folder, captioner.manifest.preprocessing)
    drafts: list[Draft] = []
    refused = 0
    for start in range(0, len(examples), CHUNK):
        studies = [archive.study(example, key) for key, example in enumerate(examples[start : start + CHUNK])]
        for outcome in captioner.caption(studies):
            refused += not isinstance(outcome, Reported)
            drafts.append(
                _draft(outcome.report) if isinstance(outcome, Reported) else Draft(findings="", impression="")
            )
    return drafts, refused


def _draft(report: Report) -> Draft:
    return Draft(
        findings=report.findings, impression=report.impression, abnormal=report.concepts.get(ABNORMAL, 0.5)
    )


def _constant(train: Sequence[Example], truth: Sequence[Example], protocol: R2GenProtocol) -> str:
    """The train findings that, said of every study, reach the best BLEU-4."""
    references = {number: [protocol.reference(example.findings)] for number, example in enumerate(truth)}
    pairs = Counter(pair for example in train for pair in _pairs(example.findings))
    ranked = sorted(
        train, key=lambda e: -sum(pairs[p] for p in _pairs(e.findings)) / (10 + len(e.findings.split()))
    )

    def bleu4(text: str) -> float:
        same = {number: [clean_r2gen(text)] for number in references}
        return float(Bleu(ORDERS).compute_score(references, same, verbose=0)[0][-1])

    return max((example.findings for example in ranked[:SHORTLIST]), key=bleu4)


def _pairs(text: str) -> set[tuple[str, str]]:
    words = clean_r2gen(text).split()
    return set(pairwise(words))


def baseline_drafts(
    train: Sequence[Example], truth: Sequence[Example], protocol: R2GenProtocol
) -> dict[str, list[Draft]]:
    """The three trivial authors."""
    written = [example for example in train if example.findings and example.impression]
    impression = Counter(example.impression for example in written).most_common(1)[0][0]
    frequent = Counter(example.findings for example in written).most_common(1)[0][0]
    constant = Draft(findings=_constant(written, truth, protocol), impression=impression)
    dice = random.Random(0)  # noqa: S311 - not for secrets
    drawn = [dice.choice(written) for _ in truth]
    return {
        "constant": [constant] * len(truth),
        "most frequent": [Draft(findings=frequent, impression=impression)] * len(truth),
        "random": [Draft(findings=example.findings, impression=example.impression) for example in drawn],
    }


def evaluate(captioner: Captioner, folder: Path, split: str, *, meteor: bool = True) -> list[Evaluation]:
    """The model first, then the baselines."""
    truth = [example for example in read_examples(folder, split) if example.findings]
    train = read_examples(folder, "train")
    protocol = R2GenProtocol.from_train([example.findings for example in train])
    drafts, refused = model_drafts(captioner, truth, folder)
    notes = (f"{refused} studies were not accepted and count as empty reports",) if refused else ()
    own = judge(captioner.manifest.title, drafts, truth, protocol, meteor=meteor, notes=notes)
    others = baseline_drafts(train, truth, protocol)
    return [own, *(judge(name, texts, truth, protocol, meteor=meteor) for name, texts in others.items())]
