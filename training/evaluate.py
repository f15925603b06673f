"""A model and the trivial baselines, judged side by side on one split, by every score that we know.

Word overlap by both published protocols, clinical F1, AUROC, length and diversity, each with a 95 % bootstrap
interval where studies drawn again say something of it (they say nothing of how many different texts there are).
A model that reads the study's background is judged a second time without it. Assumes a data set in the form of
`training.datasets`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.captioner import Captioner
from pipeline.errors import UsageError
from training.baselines import baseline_drafts
from training.bootstrap import Interval, Statistic, auroc_of, intervals, macro_f1_of, mean_of, micro_f1_of
from training.clinical import Clinical, auroc, clinical_scores, label_arrays, named_labels, scored_labels
from training.datasets import NORMAL, Example, read_examples
from training.diversity import distinct_share, words_of
from training.drafts import Draft, model_drafts
from training.scores import Overlap, R2GenProtocol, Scores, r2gen_overlap, seed_overlap

WITHOUT_BACKGROUND = "without background"
COUNTS_AS_NOTHING = frozenset({"No Finding", "Technical Quality of Image Unsatisfactory"})


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
    shape: Scores = field(default_factory=dict)  # length and diversity
    intervals: dict[str, Interval] = field(default_factory=dict)  # figure of the summary -> 95 % interval
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
            **self.shape,
            **{f"{name} untouched": value for name, value in self.text.get("untouched", {}).items()},
            "studies": self.studies,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A model's evaluation beside the baselines', and what the model wrote."""

    evaluations: list[Evaluation]  # the model first
    examples: list[Example]
    drafts: list[Draft]  # the model's, one per example


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
    overlaps = r2gen_overlap([d.findings for d in drafts], [e.findings for e in truth], protocol, meteor=meteor)
    overlaps["seed"] = seed_overlap([d.impression for d in drafts], [e.impression for e in truth])
    named = [named_labels(d.findings, d.impression) for d in drafts]
    coded = [e.problems for e in truth]
    written = [named_labels(e.findings, e.impression) for e in truth]
    labels = scored_labels(coded, {NORMAL}), scored_labels(written, {"No Finding"})
    shape, statistics = _shape(drafts, truth, named, written)
    statistics |= _overlap_statistics(overlaps)
    statistics |= _f1_statistics("problems", named, coded, labels[0])
    statistics |= _f1_statistics("extracted", named, written, labels[1])
    sure = [d.abnormal for d in drafts]
    abnormal = [e.abnormal for e in truth]
    statistics["AUROC abnormal"] = auroc_of(sure, abnormal)
    return Evaluation(
        name=name,
        text={protocol_name: overlap.scores for protocol_name, overlap in overlaps.items()},
        coded=clinical_scores(named, coded, labels[0]),
        extracted=clinical_scores(named, written, labels[1]),
        auroc=auroc(sure, abnormal),
        distinct=len({(d.findings, d.impression) for d in drafts}),
        studies=len(drafts),
        shape=shape,
        intervals=intervals(statistics, len(drafts)),
        notes=notes,
    )


def _shape(
    drafts: Sequence[Draft],
    truth: Sequence[Example],
    named: Sequence[frozenset[str]],
    written: Sequence[frozenset[str]],
) -> tuple[Scores, dict[str, Statistic]]:
    """Length and diversity, and the statistics of what is a mean over studies."""
    texts = [f"{d.findings} {d.impression}" for d in drafts]
    means: dict[str, list[float]] = {
        "words": [len(words_of(text)) for text in texts],
        "words of reference": [len(words_of(f"{e.findings} {e.impression}")) for e in truth],
        "normal texts": [labels <= COUNTS_AS_NOTHING for labels in named],
        "normal references": [labels <= COUNTS_AS_NOTHING for labels in written],
    }
    shape: Scores = {
        "distinct impressions": len({d.impression for d in drafts}),
        "distinct-1": distinct_share(texts, 1),
        "distinct-2": distinct_share(texts, 2),
        **{name: sum(values) / len(values) for name, values in means.items()},
    }
    return shape, {name: mean_of(values) for name, values in means.items()}


def _overlap_statistics(overlaps: Mapping[str, Overlap]) -> dict[str, Statistic]:
    return {
        f"{metric} untouched" if protocol == "untouched" else metric: statistic
        for protocol, overlap in overlaps.items()
        for metric, statistic in overlap.statistics.items()
    }


def _f1_statistics(
    kind: str, named: Sequence[frozenset[str]], truth: Sequence[frozenset[str]], labels: Sequence[str]
) -> dict[str, Statistic]:
    if not labels:
        return {}
    arrays = label_arrays(named, truth, labels)
    return {f"macro F1 {kind}": macro_f1_of(*arrays), f"micro F1 {kind}": micro_f1_of(*arrays)}


def compare(captioner: Captioner, folder: Path, split: str, *, form: str = "", meteor: bool = True) -> Comparison:
    """Let the model write about a split, and judge it beside the baselines."""
    truth = [example for example in read_examples(folder, split, form=form) if example.findings]
    if not truth:
        raise UsageError(f"no study of the split {split!r} in {folder} has findings; name another with --split")
    train = read_examples(folder, "train", form=form)
    protocol = R2GenProtocol.from_train([example.findings for example in train])
    drafts, refused = model_drafts(captioner, truth, folder, form=form)
    notes = (f"{refused} studies were not accepted and count as empty reports",) if refused else ()
    others = baseline_drafts(train, truth, protocol)
    if captioner.manifest.accepts.background:
        blind, _ = model_drafts(captioner, truth, folder, form=form, background=False)
        others = {WITHOUT_BACKGROUND: blind, **others}
    own = judge(captioner.manifest.title, drafts, truth, protocol, meteor=meteor, notes=notes)
    judged = (judge(name, texts, truth, protocol, meteor=meteor) for name, texts in others.items())
    return Comparison(evaluations=[own, *judged], examples=truth, drafts=drafts)


def evaluate(
    captioner: Captioner, folder: Path, split: str, *, form: str = "", meteor: bool = True
) -> list[Evaluation]:
    """The model first, then the baselines."""
    return compare(captioner, folder, split, form=form, meteor=meteor).evaluations
