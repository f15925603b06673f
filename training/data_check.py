"""What is wrong with a data set before a training begins: splits, patients, texts. Images are in `image_check`.

Sides: studies that are learnt from are one, each other split is another; a study or patient on two sides would
make every figure a lie. Whatever training can do without is told and left out. Knows no model.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from training.config import DataConfig
from training.examples import Example
from training.image_check import image_problems
from training.problem_list import Problem
from training.sides import on_several, sides_of
from training.sources.dataset import DataSet


def data_problems(data: DataSet, config: DataConfig) -> list[Problem]:
    """Everything that is wrong or odd; images are looked at last, since that takes longest."""
    learnt = (*config.concept_splits, *config.report_splits)
    sides = sides_of((example.split for example in data.examples), learnt)
    return [
        *data.problems,
        *_split_problems(data.examples, config),
        *_straddling(data.examples, sides),
        *_twice(data.examples),
        *_text_problems(data.examples, config),
        *image_problems(data, sides),
    ]


def _split_problems(examples: Sequence[Example], config: DataConfig) -> Iterable[Problem]:
    there = {example.split for example in examples}
    known = ", ".join(sorted(there)) or "no split at all"
    learnt = (*config.concept_splits, *config.report_splits)
    for split in dict.fromkeys((*learnt, config.choice_split)):
        if split not in there:
            yield Problem(kind=f"no study is in a split that [data] names; the data know {known}", place=split)
    if config.choice_split in learnt:
        kind = "[data] choice_split is learnt from as well; what chooses must not teach"
        yield Problem(kind=kind, place=config.choice_split)


def _straddling(examples: Sequence[Example], sides: Mapping[str, str]) -> Iterable[Problem]:
    studies = ((example.study, example.split) for example in examples)
    patients = ((example.patient, example.split) for example in examples)
    for what, named in (("studies", studies), ("patients", patients)):
        kind = f"these {what} are in several splits; keep each in one"
        for name, splits in on_several(named, sides).items():
            yield Problem(kind=kind, place=f"{name} ({', '.join(splits)})")


def _twice(examples: Sequence[Example]) -> Iterable[Problem]:
    counts = Counter((example.study, example.split) for example in examples)
    for (study, split), count in counts.items():
        if count > 1:
            kind = "these studies are told more than once and count so often"
            yield Problem(kind=kind, place=f"{study} ({split})", stops=False)


def _text_problems(examples: Sequence[Example], config: DataConfig) -> Iterable[Problem]:
    for example in examples:
        if not (example.findings.strip() or example.impression.strip()):
            kind = "these studies have neither findings nor impression: left out of what is written"
            yield Problem(kind=kind, place=example.study, stops=False)
    for splits, what in ((config.report_splits, "learn to write from"), ((config.choice_split,), "choose by")):
        told = [example for example in examples if example.split in splits]
        if told and not any(example.findings.strip() for example in told):
            yield Problem(
                kind=f"there are no findings to {what}; put texts into the splits", place=", ".join(splits)
            )
