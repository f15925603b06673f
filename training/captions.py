"""The stage that learns to write, word by word, from feature maps, evidence and indication.

Legend: B studies, V views, K concepts, T tokens, L words of an indication. The encoder and the head rest. What is
to be written comes as lessons: what people wrote, or the consensus (`training.teacher`); both tell evidence as
weak as unseen studies will give (`training.evidence`). Views, whole images and indications are hidden from some
studies, so that a decoder can write without each. Assumes the maps of the whole set fit into memory.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from pipeline.models.encoder import scatter_views
from pipeline.models.memory import Memory
from pipeline.models.report_model import ReportModel
from training.config import ReportConfig
from training.evidence import draw_evidence
from training.features import Activations


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a decoder is told of some studies, and what it is to write."""

    evidence: Tensor  # [B, K]
    indications: Sequence[Sequence[int]]  # ids
    tokens: Sequence[Sequence[int]]  # <bos> ... <eos>
    choices: tuple[Tensor, ...] = ()  # [B] per section: which of a teacher's candidates that is
    expected: Tensor | None = None  # [B, P] how likely a teacher finds each problem


class Lessons(Protocol):
    """Where lessons come from. Called in training; must depend on nothing but its arguments."""

    def lesson(self, index: Sequence[int], hidden: Sequence[bool], generator: Generator) -> Lesson:
        """A lesson on some studies, the indication of some hidden."""


@dataclass(frozen=True, kw_only=True)
class WrittenLessons:
    """What people wrote."""

    concepts: Tensor  # [M, K] bool, as coded
    apart: Tensor  # [K] how well the head tells each concept
    tokens: Sequence[Sequence[int]]
    indications: Sequence[Sequence[int]]
    kin: Tensor | None = None  # [K, K] how its errors go together; independent where there is none

    def lesson(self, index: Sequence[int], hidden: Sequence[bool], generator: Generator) -> Lesson:
        """The reports as they are."""
        return Lesson(
            evidence=draw_evidence(self.concepts[list(index)], self.apart, generator, self.kin),
            indications=[[] if hide else self.indications[i] for i, hide in zip(index, hidden, strict=True)],
            tokens=[self.tokens[i] for i in index],
        )


@dataclass(frozen=True, kw_only=True)
class Written:
    """Feature maps of studies with the lessons on them."""

    ids: Sequence[str]
    maps: Activations
    device: torch.device  # where the model is
    lessons: Lessons
    lengths: Sequence[int]  # tokens of what was written, by which batches are put together
    normal: Tensor  # [M] bool


def drop_views(present: Tensor, mask: Tensor, chance: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Hide a random view of some studies that have both."""
    both = mask.all(1, keepdim=True)
    draw = torch.randint(mask.shape[1], (len(mask), 1), generator=generator).to(mask.device)
    victim = draw == torch.arange(mask.shape[1], device=mask.device)
    hide = both & victim & _some(mask, chance, generator)
    return present[~hide[mask]], mask & ~hide


def drop_images(present: Tensor, mask: Tensor, chance: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Hide both views of some studies, so that the decoder learns to write from the evidence."""
    hide = _some(mask, chance, generator)
    return present[~hide.expand_as(mask)[mask]], mask & ~hide


def _some(mask: Tensor, chance: float, generator: Generator) -> Tensor:
    return (torch.rand(len(mask), 1, generator=generator) < chance).to(mask.device)


def draw_epoch(
    normal: Tensor, lengths: Sequence[int], config: ReportConfig, generator: Generator
) -> list[list[int]]:
    """Batches of one epoch: normal studies thinned out, similar lengths together, batches in random order."""
    keep = ~normal.cpu() | (torch.rand(len(normal), generator=generator) < config.normal_weight)
    kept = keep.nonzero().flatten()
    index: list[int] = kept[torch.randperm(len(kept), generator=generator)].tolist()
    pool = config.batch_size * 8
    ordered: list[list[int]] = []
    for start in range(0, len(index), pool):
        part = sorted(index[start : start + pool], key=lambda number: lengths[number])
        ordered += [part[i : i + config.batch_size] for i in range(0, len(part), config.batch_size)]
    return [ordered[i] for i in torch.randperm(len(ordered), generator=generator).tolist()]


def pad_tokens(sequences: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """[B, T], padded with 0 at the end."""
    longest = max(map(len, sequences))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in sequences], device=device).long()


@dataclass(frozen=True, kw_only=True)
class Told:
    """A batch of lessons on the device: what may be looked at, and what is to be written."""

    maps: Tensor  # [B, V, C, g, g]
    mask: Tensor  # [B, V]
    evidence: Tensor  # [B, K]
    indications: Tensor  # [B, L]
    tokens: Tensor  # [B, T]
    choices: tuple[Tensor, ...] = ()  # [B] per section, as the lesson's
    expected: Tensor | None = None  # [B, P] as the lesson's

    def memory(self, model: ReportModel) -> Memory:
        """What a model makes of it."""
        return model.remember(self.maps, self.mask, self.evidence, self.indications)


def draw_told(data: Written, index: Sequence[int], config: ReportConfig, generator: Generator) -> Told:
    """Lessons on some studies, some of the sources hidden."""
    views = drop_views(*data.maps.batch(index, generator=generator), config.view_dropout, generator)
    present, mask = (part.to(data.device) for part in drop_images(*views, config.image_dropout, generator))
    hidden = torch.rand(len(index), generator=generator) < config.indication_dropout
    lesson = data.lessons.lesson(index, hidden.tolist(), generator)
    return Told(
        maps=scatter_views(present, mask),
        mask=mask,
        evidence=lesson.evidence.to(data.device),
        indications=pad_tokens(lesson.indications, data.device),
        tokens=pad_tokens(lesson.tokens, data.device),
        choices=tuple(choice.to(data.device) for choice in lesson.choices),
        expected=None if lesson.expected is None else lesson.expected.to(data.device),
    )


def draw_lesson(
    model: ReportModel, data: Written, index: Sequence[int], config: ReportConfig, generator: Generator
) -> tuple[Memory, Tensor]:
    """What the decoder is told of some studies, some of the sources hidden, and what it is to write [B, T]."""
    told = draw_told(data, index, config, generator)
    return told.memory(model), told.tokens


def writing_parameters(model: ReportModel) -> list[nn.Parameter]:
    """What learns when the encoder and the head rest."""
    resting = {id(p) for part in (model.encoder, model.head) for p in part.parameters()}
    return [p for p in model.parameters() if id(p) not in resting]


@dataclass(frozen=True, kw_only=True)
class CaptionTask:
    """Cross entropy of each next word."""

    model: ReportModel
    data: Written
    config: ReportConfig
    judged: Callable[[], Mapping[str, float]]

    @property
    def module(self) -> nn.Module:
        """The whole model, though only a part learns."""
        return self.model

    @property
    def ids(self) -> Sequence[str]:
        """The studies' names."""
        return self.data.ids

    def groups(self) -> Sequence[dict[str, Any]]:
        """All but encoder and head."""
        return [{"params": writing_parameters(self.model), "lr": self.config.learning_rate}]

    def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:  # noqa: ARG002
        """Every study once, normal ones perhaps less often."""
        return draw_epoch(self.data.normal, self.data.lengths, self.config, generator)

    def weight(self, index: Sequence[int]) -> float:
        """The words that were written."""
        return float(sum(self.data.lengths[i] - 1 for i in index))

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        """Mean over words."""
        memory, tokens = draw_lesson(self.model, self.data, index, self.config, generator)
        return self.cost(self.model.read(tokens[:, :-1], memory).float(), tokens)

    def cost(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Cross entropy of logits [B, T - 1, Y] and what was to be written [B, T]: mean over words."""
        smoothing = self.config.label_smoothing
        return F.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0, label_smoothing=smoothing
        )

    def judge(self, epoch: int) -> Mapping[str, float]:  # noqa: ARG002
        """Drafts of the choice split, scored."""
        return self.judged()
