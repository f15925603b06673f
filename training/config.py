"""What an experiment is: one TOML file, read into frozen dataclasses, so that a run can be repeated from it.

Paths are relative to where the command is run. Knows nothing of how the stages work.
"""

import hashlib
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import UsageError
from pipeline.models.encoder import EncoderConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which studies are learnt from, and which choose."""

    folder: Path
    source: str  # what the data is, for the model card
    licence: str  # under which the result stands, for the manifest and the model card
    concept_splits: tuple[str, ...] = ("train", "extra")
    report_splits: tuple[str, ...] = ("train", "extra")
    choice_split: str = "val"
    min_concept_count: int = 25
    min_word_count: int = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptConfig:
    """Stage 1: the encoder and the concept head learn to see the coded problems."""

    weights: Path | None = None  # a torchvision state dict to start from
    frozen_blocks: int = 7  # the first layers stay as they are; their activations are kept in memory
    copies: int = 4  # of every image: the clean one and augmented ones
    epochs: int = 8
    batch_size: int = 32  # studies
    learning_rate: float = 3e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    view_dropout: float = 0.1
    label_smoothing: float = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """Stage 2: the decoder learns to write; the encoder rests."""

    copies: int = 2
    epochs: int = 20
    batch_size: int = 48  # studies
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    concept_drop: float = 0.1  # chance that a true concept is kept from the decoder
    concept_add: float = 0.2  # chance of a false concept, relative to its prevalence
    normal_weight: float = 0.6  # how often a normal study is drawn, against an abnormal one
    view_dropout: float = 0.1
    image_dropout: float = 0.3  # chance that a study is told by its concepts alone
    min_normal_words: int = 18  # normal findings that are shorter are not learnt: they are most of one kind
    judge_every: int = 2  # epochs
    threshold_factor: float = 1.0  # how often a concept is told, relative to how often it occurs
    beams: int = 3
    max_findings: int = 80  # tokens
    max_impression: int = 40  # tokens
    length_penalty: float = 1.0
    block_trigrams: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The decoder's size."""

    width: int = 256
    attention: int = 128
    hidden: int = 384
    dropout: float = 0.3
    head_dropout: float = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Where the result goes, and what makes it repeatable."""

    name: str
    version: str
    output: Path
    seed: int = 1
    threads: int = 2
    work: Path = Path("runs")  # intermediate states, not kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One experiment."""

    run: RunConfig
    data: DataConfig
    encoder: EncoderConfig
    model: ModelConfig
    concepts: ConceptConfig
    reports: ReportConfig
    sha256: str  # of the file it was read from


def _section(kind: type[T], values: dict[str, Any], name: str) -> T:
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise UsageError(f"[{name}] has no setting {key!r}; it knows {', '.join(sorted(known))}")
    try:
        return kind(**{key: _typed(value, str(known[key].type)) for key, value in values.items()})
    except TypeError as error:
        raise UsageError(f"[{name}] is not complete: {error}") from error


def _typed(value: Any, kind: str) -> Any:
    if "Path" in kind:
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def read_config(path: Path) -> Config:
    """Read one experiment; every mistake is a UsageError."""
    try:
        content = path.read_bytes()
        tables = tomllib.loads(content.decode())
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    return Config(
        run=_section(RunConfig, tables.get("run", {}), "run"),
        data=_section(DataConfig, tables.get("data", {}), "data"),
        encoder=_section(EncoderConfig, tables.get("encoder", {}), "encoder"),
        model=_section(ModelConfig, tables.get("model", {}), "model"),
        concepts=_section(ConceptConfig, tables.get("concepts", {}), "concepts"),
        reports=_section(ReportConfig, tables.get("reports", {}), "reports"),
        sha256=hashlib.sha256(content).hexdigest(),
    )
