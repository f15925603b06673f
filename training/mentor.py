"""The teacher of a distillation: a finished model of any architecture, asked what it would say.

Legend: B studies, V views, K concepts, T tokens, Y vocabulary. It is told the evidence and the indication that its
student is told, and sees every view of a study, clean; concepts are matched by name, and one that only the teacher
knows has no evidence, which says nothing. The student takes over its words, so that both speak of the same
tokens. Never learns. Knows neither losses nor data sets.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.captioner import Captioner
from pipeline.checkpoint import Checkpoint, load_checkpoint
from pipeline.errors import UsageError
from pipeline.manifest import find_checkpoint
from pipeline.models.encoder import scatter_views
from pipeline.models.memory import pool
from pipeline.models.report_model import ReportModel
from pipeline.study import Preprocessing, Study
from training.captions import Told
from training.distill import drafted_tokens
from training.features import Activations, Load, compute_activations

CHUNK = 64  # studies looked at together


@dataclass(frozen=True, kw_only=True)
class Mentor:
    """A teacher and which of its concepts the student has too."""

    checkpoint: Checkpoint
    there: Tensor  # positions of the common concepts in the teacher
    here: Tensor  # and in the student

    @property
    def model(self) -> ReportModel:
        """The teacher itself, at rest."""
        return self.checkpoint.model

    @torch.no_grad()
    def judge(self, views: Sequence[Sequence[Load | None]]) -> Tensor:
        """Its logits of the common concepts for each study [M, common], as it sees the clean views."""
        parts = [torch.zeros(0, len(self.there))]
        for start in range(0, len(views), CHUNK):
            seen = self._look(views[start : start + CHUNK], self.model.encoder.see)
            present, mask = self._all(seen, range(len(seen.rows)))
            parts.append(self.model.judge(scatter_views(present, mask), mask)[:, self.there].cpu())
        return torch.cat(parts)

    def look(self, views: Sequence[Sequence[Load | None]]) -> Activations:
        """What `read` needs of the studies' images, which is nothing if it does not look at them."""
        if not self.model.config.use_image:
            views = [[None for _ in study] for study in views]

        def pooled(pixels: Tensor) -> Tensor:
            return pool(self.model.encoder.see(pixels).unsqueeze(1), self.model.config.grid).squeeze(1)

        return self._look(views, pooled)

    def _look(self, views: Sequence[Sequence[Load | None]], forward: Callable[[Tensor], Tensor]) -> Activations:
        if not any(load for study in views for load in study):
            nothing = torch.zeros(0, self.model.encoder.channels, 1, 1)
            rows = torch.full((len(views), 2), -1)
            return Activations(values=nothing, rows=rows, copies=torch.ones(len(views), dtype=torch.long))
        device = self.model.device
        return compute_activations(views, lambda pixels: forward(pixels.to(device)), copies=1, seed=0)

    def _all(self, seen: Activations, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        present, mask = seen.batch(index, generator=None)
        return present.to(self.model.device), mask.to(self.model.device)

    @torch.no_grad()
    def read(self, told: Told, seen: Activations, index: Sequence[int]) -> Tensor:
        """What it would say next after each of the student's words: logits [B, T - 1, Y]."""
        present, mask = self._all(seen, index)
        evidence = told.evidence.new_zeros(len(mask), self.model.config.concepts)
        evidence[:, self.there] = told.evidence[:, self.here]
        memory = self.model.remember(scatter_views(present, mask), mask, evidence, told.indications)
        return self.model.read(told.tokens[:, :-1], memory)

    def write(self, studies: Iterable[Study]) -> list[list[str]]:
        """Its drafts as words, empty where it wrote none."""
        captioner = Captioner(self.checkpoint, device="cuda" if self.model.device.type == "cuda" else "cpu")
        drafts: list[list[str]] = []
        chunk: list[Study] = []
        for study in studies:
            chunk.append(study)
            if len(chunk) == CHUNK:
                drafts += drafted_tokens(captioner.caption(chunk))
                chunk = []
        return drafts + drafted_tokens(captioner.caption(chunk))


def load_mentor(name: str, names: Sequence[str], preprocessing: Preprocessing, device: torch.device) -> Mentor:
    """The checkpoint of a name or folder as the teacher of a student with these concepts and views."""
    checkpoint = load_checkpoint(find_checkpoint(name))
    manifest = checkpoint.manifest
    if manifest.preprocessing != preprocessing:
        raise UsageError(
            f"[distillation] teacher {manifest.title} looks at views made by {manifest.preprocessing}, "
            f"the student at {preprocessing}; make them the same, or name another teacher"
        )
    common = [name for name in manifest.concepts if name in names]
    if not common:
        raise UsageError(
            f"[distillation] teacher {manifest.title} knows none of the student's concepts; name another teacher"
        )
    checkpoint.model.to(device).eval().requires_grad_(requires_grad=False)
    return Mentor(
        checkpoint=checkpoint,
        there=torch.tensor([manifest.concepts.index(name) for name in common]),
        here=torch.tensor([names.index(name) for name in common]),
    )
