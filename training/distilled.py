"""The stages that learn from labels and texts, with a teacher beside them (`training.mentor`).

Legend: B studies, T tokens, Y vocabulary, K concepts. A distilled task is its plain task with a share of the loss
replaced by the distance from what the teacher says of the same batch; all else, the judgement too, is the plain
task's. The teacher's drafts may stand for some of the reports to write. Knows no files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from torch import Generator, Tensor, nn

from pipeline.manifest import WEIGHTS
from training.captions import CaptionTask, Lesson, Lessons, draw_told
from training.concepts import ConceptTask
from training.config import DistillationConfig
from training.distill import blend, draw_targets, soft_concept_loss, soft_word_loss
from training.features import Activations
from training.mentor import Mentor
from training.task import Task

P = TypeVar("P", bound=Task)


def teacher_key(mentor: Mentor | None, config: DistillationConfig) -> tuple[object, ...]:
    """What a distilled result depends on beside all else; () without a teacher, which changes no other key."""
    return () if mentor is None else (config, mentor.checkpoint.manifest.sha256[WEIGHTS])


@dataclass(frozen=True, kw_only=True)
class _Distilled(Generic[P]):
    """All of a task but its loss stays as it is without a teacher."""

    plain: P
    mentor: Mentor
    config: DistillationConfig

    @property
    def module(self) -> nn.Module:
        """The student."""
        return self.plain.module

    @property
    def ids(self) -> Sequence[str]:
        """The studies' names."""
        return self.plain.ids

    def groups(self) -> Sequence[dict[str, Any]]:
        """What learns."""
        return self.plain.groups()

    def epoch(self, number: int, generator: Generator) -> Sequence[Sequence[int]]:
        """The batches."""
        return self.plain.epoch(number, generator)

    def weight(self, index: Sequence[int]) -> float:
        """How much these examples count."""
        return self.plain.weight(index)

    def judge(self, epoch: int) -> Mapping[str, float]:
        """The student's figures."""
        return self.plain.judge(epoch)


@dataclass(frozen=True, kw_only=True)
class DistilledConceptTask(_Distilled[ConceptTask]):
    """Concepts as coded and as the teacher sees them."""

    taught: Tensor  # [M, common] the teacher's logits

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        """The plain loss and the distance from the teacher's concepts."""
        concepts, words = self.plain.see(index, generator)
        taught = self.taught[list(index)].to(concepts)
        soft = soft_concept_loss(concepts[:, self.mentor.here], taught, self.config.temperature)
        return blend(self.plain.cost(concepts, words, index), soft, self.config.concepts)


@dataclass(frozen=True, kw_only=True)
class DistilledCaptionTask(_Distilled[CaptionTask]):
    """The words that were written, and those that the teacher would write."""

    seen: Activations  # the studies' images as the teacher sees them

    def loss(self, index: Sequence[int], generator: Generator) -> Tensor:
        """The plain loss and the distance from the teacher's words."""
        plain = self.plain
        told = draw_told(plain.data, index, plain.config, generator)
        logits = plain.model.read(told.tokens[:, :-1], told.memory(plain.model)).float()
        taught = self.mentor.read(told, self.seen, index)
        soft = soft_word_loss(logits, taught, told.tokens[:, 1:], self.config.temperature)
        return blend(plain.cost(logits, told.tokens), soft, self.config.words)


@dataclass(frozen=True, kw_only=True)
class DraftedLessons:
    """Lessons of which some are to write what the teacher wrote about the study."""

    plain: Lessons
    drafts: Sequence[Sequence[int]]  # ids; empty where there is no draft
    share: float

    def lesson(self, index: Sequence[int], hidden: Sequence[bool], generator: Generator) -> Lesson:
        """The plain lesson, or the draft in place of its tokens."""
        lesson = self.plain.lesson(index, hidden, generator)
        tokens = draw_targets(lesson.tokens, [self.drafts[i] for i in index], self.share, generator)
        return replace(lesson, tokens=tokens)
