"""What an experiment is: one TOML file, read into frozen dataclasses, so that a run can be repeated from it.

Paths are relative to where the command is run. Knows nothing of how the stages work.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pipeline.errors import UsageError
from pipeline.models.encoder import EncoderConfig
from pipeline.models.report_model import DECODERS
from training.problem_list import Problem, listed
from training.toml_tables import Among, Present, Within, read_tables

Count = Annotated[int, Within(1)]
Whole = Annotated[int, Within(0)]
Share = Annotated[float, Within(0, 1)]
Rate = Annotated[float, Within(0, 1, above=True)]  # of learning
Weight = Annotated[float, Within(0)]
Factor = Annotated[float, Within(0, above=True)]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which studies are learnt from, and which choose."""

    folder: Path
    source: str  # what the data is, for the model card
    licence: str  # under which the result stands, for the manifest and the model card
    form: str = ""  # iuxray, openi or mimic-cxr; "": what the folder holds tells
    concept_splits: tuple[str, ...] = ("train", "extra")
    report_splits: tuple[str, ...] = ("train", "extra")
    choice_split: str = "val"
    radiographs: Annotated[Path, Present()] | None = None  # more images, without reports, to learn to see from
    height: Count = 256  # pixels of a view; both sides are squashed
    width: Count = 256
    min_concept_count: Count = 25
    min_word_count: Count = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainingConfig:
    """Stage 0: the encoder learns from images alone, labelled or not. No epochs: no such stage."""

    seed: Whole = 1
    epochs: Whole = 0
    batch_size: Annotated[int, Within(2)] = 64  # images, of two views each
    learning_rate: Rate = 5e-4
    weight_decay: Weight = 0.01
    frozen_blocks: Whole = 7  # the first layers stay as they are
    width: Count = 512  # of the embeddings that are compared
    smallest_part: Rate = 0.5  # of an image's area that a view shows


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationConfig:
    """A finished model teaches this one, beside what people wrote. No teacher: no distillation."""

    teacher: str | None = None  # a checkpoint's folder, or the name of one that comes with the program
    temperature: Factor = 2.0  # above 1 the teacher's doubts count more
    words: Share = 0.5  # of the loss of each next word, how much is the distance from the teacher's
    concepts: Share = 0.0  # of the loss of the concepts, the same
    drafts: Share = 0.0  # how many studies are told with the teacher's draft as what to write


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptConfig:
    """Stage 1: the encoder and the concept head learn to see the coded problems. No epochs: as they come."""

    seed: Whole = 1  # its own, so that decoders of several seeds can share what was seen
    weights: Annotated[Path, Present()] | None = None  # a torchvision state dict to start from
    frozen_blocks: Whole = 7  # the first layers stay as they are; their activations are kept in memory
    copies: Count = 4  # of every image: the clean one and augmented ones
    epochs: Whole = 8
    batch_size: Count = 32  # studies
    learning_rate: Rate = 3e-4
    head_learning_rate: Rate = 1e-3
    weight_decay: Weight = 0.05
    view_dropout: Share = 0.1
    label_smoothing: Share = 0.02
    radiograph_copies: Count = 3  # of every radiograph without a report
    radiograph_share: Share = 0.6  # of the radiographs without reports, how many an epoch holds
    average_decay: Share = 0.998  # of the moving average of the weights


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """Stage 2: the decoder learns to write; the encoder rests."""

    copies: Count = 2
    epochs: Count = 20
    batch_size: Count = 32  # studies
    learning_rate: Rate = 1e-3
    weight_decay: Weight = 0.01
    label_smoothing: Share = 0.05
    normal_weight: Share = 1.0  # how often a normal study is drawn, against an abnormal one
    view_dropout: Share = 0.1
    image_dropout: Share = 0.3  # chance that a study is told by its evidence alone
    indication_dropout: Share = 0.3
    targets: Literal["written", "consensus"] = (
        "written"  # or the report expected to be best (`training.consensus`)
    )
    plan_epochs: Whole = 0  # of the stage before, which learns what to write without words (`training.planning`)
    belief_epochs: Whole = 20  # of the stage after, with [model] use_beliefs (`training.believing`)
    plan_batch: Count = 128
    plan_rate: Rate = 2e-3
    sure: Share = 0.0  # of the consensus' lessons, how many tell one problem beyond doubt (`training.evidence`)
    findings_first: bool = False  # sentences that name a finding before those that rule one out
    min_normal_words: Whole = 0  # normal findings that are shorter are not learnt
    average_decay: Share = 0.0  # of the moving average of the weights; 0: none
    judge_every: Count = 1  # epochs
    patience: Whole = 0  # judgements without a better one before it ends; 0: never
    beams: Count = 1
    max_findings: Count = 80  # tokens
    max_impression: Count = 40  # tokens
    length_penalty: Weight = 1.0
    block_trigrams: bool = True
    conclude: Share = 1.0  # probability of a problem above which the impression repeats a finding of it; 1: never


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsensusConfig:
    """How the report to write is found among what could have been written; chosen on the choice split."""

    trust: float = 0.4  # in the independence of the concepts' evidence, 1: whole
    department: float = 5.0  # what an equal indication is worth, as a logarithm of likelihoods
    cider: float = 1.0  # weight of CIDEr-D, 0 to 10
    overlap: float = 1.5  # of shared words and pairs, 0 to 1
    bleu: float = 0.0  # of the seed paper's sentence BLEU, 0 to 1
    truthfulness: float = 0.2  # of naming problems
    even: float = 0.15  # probability of a problem from which naming it pays
    composed: int = 100  # texts that are also tried with one more sentence
    rounds: int = 4  # draws of every study by which candidates are kept


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardConfig:
    """Stage 3: the decoder learns from the rewards of its own drafts. No epochs: no such stage."""

    epochs: Whole = 0
    batch_size: Count = 24  # studies
    drafts: Count = 4  # of each study
    learning_rate: Rate = 1e-4
    cross_entropy: Weight = 0.1  # its share in the loss
    truthfulness: Weight = 0.3  # what naming problems rightly is worth, beside likeness
    even: Share = 0.15  # probability of a problem from which naming it pays
    least_cases: Count = 20  # of a problem, to be rewarded


@dataclass(frozen=True, kw_only=True, slots=True)
class GuidanceConfig:
    """How it is decided what a draft tells (`pipeline.guidance`). No rounds: its evidence alone decides."""

    rounds: Whole = 0
    weight: Weight = 0.5  # of the problems that a draft names, beside the mean log-probability of its words
    even: Share = 0.15  # probability of a problem from which naming it pays
    tried: Count = 4  # problems a study and round
    edits: bool = False  # a draft is also tried with one sentence more or less


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The decoder: its architecture, its size and its switches (`pipeline.models.shape`)."""

    architecture: Annotated[str, Among(tuple(DECODERS))] = "attention"
    grid: Count = 4
    width: Count = 256
    hidden: Count = 384
    layers: Count = 3
    heads: Count = 4
    dropout: Share = 0.3
    head_dropout: Share = 0.4
    use_image: bool = True
    use_both_views: bool = True
    use_concepts: bool = True
    use_indication: bool = True
    use_multimodal: bool = False
    use_beliefs: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Where the result goes, and what makes it repeatable."""

    name: str
    version: str
    output: Path
    seed: Whole = 1
    threads: Count = 2
    mixed_precision: bool = False  # worth it on a GPU, and on a CPU with bfloat16 in its instructions
    start_from: Path | None = None  # a checkpoint whose weights are taken where they fit
    work: Path = Path("runs")  # intermediate states, not kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One experiment."""

    run: RunConfig
    data: DataConfig
    encoder: EncoderConfig
    model: ModelConfig
    pretraining: PretrainingConfig
    concepts: ConceptConfig
    reports: ReportConfig
    findings: ConsensusConfig
    impressions: ConsensusConfig
    rewards: RewardConfig
    distillation: DistillationConfig
    guidance: GuidanceConfig
    sha256: str  # of the file it was read from, and what was changed in it


def read_tables_of(path: Path, changes: Mapping[str, Any] = {}) -> tuple[dict[str, Any], list[Problem]]:
    """The sound tables of a configuration, and everything that is wrong with the others.

    `changes`: settings by dotted name, such as "model.width", that stand in for the file's.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    document.pop("tune", None)  # what a search may change: `training.search_space`
    document.pop("ablation", None)  # what is switched off: `training.ablation`
    for name, value in changes.items():
        table, _, key = name.partition(".")
        document.setdefault(table, {})[key] = value
    return read_tables(document, Config)


def read_config(path: Path, *, version: str | None = None, changes: Mapping[str, Any] = {}) -> Config:
    """Read one experiment, with `changes` by dotted name; one UsageError tells every mistake.

    `version` stands in for the file's, and its result goes to a folder of that name below the file's output.
    """
    tables, problems = read_tables_of(path, changes)
    if problems:
        raise UsageError(f"the configuration {path} is wrong: {'; '.join(listed(problems))}")
    if version is not None:
        run = tables["run"]
        tables["run"] = replace(run, version=version, output=run.output / version)
    told = path.read_bytes() + (repr(sorted(changes.items())).encode() if changes else b"")
    return Config(**tables, sha256=hashlib.sha256(told).hexdigest())
