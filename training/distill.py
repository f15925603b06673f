"""Distillation: a small model, the student, learns from what a large one says, beside what people wrote.

Legend: B studies, T tokens, Y vocabulary, K concepts. Three ways, each alone or together: the teacher's
probabilities of each next word and of each concept (Hinton et al., arXiv 1503.02531), and its texts as targets
(Kim and Rush, arXiv 1606.07947). Losses of soft targets carry the square of the temperature, so that gradients do
not shrink as it rises. Assumes that teacher and student share tokenizer and concepts. Knows no architecture.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from pipeline import text
from pipeline.study import Outcome, Reported

PAD = 0


def soft_word_loss(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """How far the student's next words are from the teacher's: mean over words that are no padding.

    Logits [B, T, Y] of both, teacher forced on the same `targets` [B, T].
    """
    distance = F.kl_div(
        F.log_softmax(student.float() / temperature, -1),
        F.log_softmax(teacher.detach().float() / temperature, -1),
        reduction="none",
        log_target=True,
    ).sum(-1)
    written = targets != PAD
    return distance[written].mean() * temperature**2


def soft_concept_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """How far the student's concepts are from the teacher's: mean over studies and concepts. Logits [B, K]."""
    wanted = (teacher.detach().float() / temperature).sigmoid()
    given = student.float() / temperature
    least = F.binary_cross_entropy(
        wanted, wanted, reduction="none"
    )  # entropy of the teacher: no student gets below
    distance = F.binary_cross_entropy_with_logits(given, wanted, reduction="none") - least
    return distance.mean() * temperature**2


def blend(own: Tensor, soft: Tensor, share: float) -> Tensor:
    """The loss of what people wrote, and the teacher's with its share (0 to 1)."""
    return (1 - share) * own + share * soft


def drafted_tokens(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The teacher's drafts as targets, one per study; empty where it wrote too little or refused the study."""
    return [_tokens(outcome) for outcome in outcomes]


def _tokens(outcome: Outcome) -> list[str]:
    if not isinstance(outcome, Reported):
        return []
    findings = text.clean_target(outcome.report.findings)
    impression = text.clean_target(outcome.report.impression)
    return text.report_tokens(findings, impression) if findings and impression else []


def draw_targets(
    written: Sequence[Sequence[int]], drafted: Sequence[Sequence[int]], share: float, generator: Generator
) -> list[Sequence[int]]:
    """For each study what to write now: the teacher's draft with the chance `share`, where there is one."""
    drawn = torch.rand(len(written), generator=generator) < share
    pairs = zip(written, drafted, drawn.tolist(), strict=True)
    return [draft if draft and teacher else own for own, draft, teacher in pairs]
