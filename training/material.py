"""Everything that is read before training: studies, what is to be written about them, words, concepts.

Assumes that `training.check` found the data sound. The choice split only chooses and calibrates; nothing is learnt
from its texts. Knows no stage.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from pipeline import text
from pipeline.findings import NO_FINDING, extract, present_labels
from pipeline.study import Background, Preprocessing
from training.config import Config, DataConfig
from training.datasets import Example, ImageArchive, concept_names, concept_targets, read_examples
from training.scores import R2GenProtocol
from training.sources.radiographs import Radiograph, RadiographSet, read_radiographs

COMMONEST = 0.7  # a word that more reports hold teaches an encoder nothing
Sentences = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the stages work on."""

    archive: ImageArchive
    preprocessing: Preprocessing
    seen: list[Example]  # the seeing stage learns from these
    radiographs: RadiographSet | None  # and from these, which have no reports
    written: list[Example]  # the writing stages learn from these
    findings: list[Sentences]  # what is written about them
    impressions: list[Sentences]
    choice: list[Example]
    names: tuple[str, ...]  # of the concepts
    prevalence: Tensor  # [K] in the train split
    words: tuple[str, ...]  # which the encoder learns to expect
    protocol: R2GenProtocol
    tokenizer: Tokenizer
    sha256: str  # of studies and their texts, images by name: what is kept of other data must not be taken

    def targets(self, examples: Sequence[Example]) -> Tensor:
        """Concepts [studies, K] of 0 and 1."""
        return torch.from_numpy(concept_targets(examples, self.names))

    @property
    def unreported(self) -> tuple[Radiograph, ...]:
        """Radiographs without reports."""
        return self.radiographs.radiographs if self.radiographs else ()


def read_material(config: Config) -> Material:
    """Read and clean what the configuration names."""
    data = config.data
    wanted = preprocessing_of(data)
    seen = read_examples(data.folder, *data.concept_splits, form=data.form)
    train = read_examples(data.folder, "train", form=data.form)
    pairs = [
        (example, *report_target(example, findings_first=config.reports.findings_first))
        for example in read_examples(data.folder, *data.report_splits, form=data.form)
    ]
    choice = read_examples(data.folder, data.choice_split, form=data.form)
    radiographs = None if data.radiographs is None else read_radiographs(data.radiographs)
    kept = [pair for pair in pairs if _worth_learning(*pair, config.reports.min_normal_words)]
    names = concept_names(seen, data.min_concept_count)
    targets = [text.report_tokens(findings, impression) for _, findings, impression in kept]
    indications = [text.background_tokens(background_of(example)) for example, _, _ in kept]
    return Material(
        archive=ImageArchive(data.folder, wanted, data.form),
        preprocessing=wanted,
        seen=seen,
        radiographs=radiographs,
        written=[example for example, _, _ in kept],
        findings=[findings for _, findings, _ in kept],
        impressions=[impression for _, _, impression in kept],
        choice=choice,
        names=names,
        prevalence=torch.from_numpy(concept_targets(train, names)).mean(0),
        words=telling_words(train, data.min_concept_count),
        protocol=R2GenProtocol.from_train([example.findings for example in train]),
        tokenizer=text.build_tokenizer(targets, data.min_word_count, indications=indications),
        sha256=_digest([*seen, *(pair[0] for pair in pairs), *choice], radiographs),
    )


def _digest(examples: Sequence[Example], radiographs: RadiographSet | None) -> str:
    digest = hashlib.sha256()
    for example in examples:
        told = asdict(example)
        sets = {key: sorted(value) for key, value in told.items() if isinstance(value, frozenset)}
        digest.update(repr({**told, **sets}).encode())
    for radiograph in radiographs.radiographs if radiographs else ():
        digest.update(repr((radiograph.file, sorted(radiograph.labels), sorted(radiograph.known))).encode())
    return digest.hexdigest()


def preprocessing_of(data: DataConfig) -> Preprocessing:
    """How the model's views are made."""
    return Preprocessing(height=data.height, width=data.width, fit="squash", resampling="box")


def background_of(example: Example) -> Background:
    """What was known before the images."""
    return Background(indication=example.indication, age=example.age, sex=example.sex)


def report_target(example: Example, *, findings_first: bool) -> tuple[Sentences, Sentences]:
    """The sentences of both sections that a model may learn to write."""
    sections = (text.clean_target(section) for section in (example.findings, example.impression))
    findings, impression = (tuple(positives_first(part) if findings_first else part) for part in sections)
    return findings, impression


def _worth_learning(example: Example, findings: Sentences, impression: Sentences, min_normal_words: int) -> bool:
    words = sum(len(sentence.split()) for sentence in findings)
    return bool(findings and impression) and (example.abnormal or words >= min_normal_words)


def positives_first(sentences: Sequence[str]) -> list[str]:
    """The same sentences, those that name a finding before those that rule one out or describe the normal."""
    return sorted(sentences, key=lambda part: not present_labels(extract(f"{part}.")) - {NO_FINDING})


def telling_words(examples: Sequence[Example], at_least: int) -> tuple[str, ...]:
    """Words of reports that occur often enough to be learnt and not in nearly all."""
    counts = Counter(word for example in examples for word in words_of(example))
    most = COMMONEST * len(examples)
    return tuple(word for word, count in counts.most_common() if at_least <= count <= most)


def words_of(example: Example) -> frozenset[str]:
    """The different words of a report that a model may learn to write."""
    sentences = (*text.clean_target(example.findings), *text.clean_target(example.impression))
    return frozenset(word for sentence in sentences for word in sentence.split())
