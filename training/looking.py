"""What the trained encoder sees in the studies that are written about, computed once for all decoders.

Legend: M studies, V views, K concepts, g×g places. Encoder and head rest from here on, so that their pooled maps
stand for the images. They are kept in the work folder under a key of the encoder's weights. Calibrates the
evidence on the choice split: its labels give one figure per concept, its logits the rest. Knows no text.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.models.encoder import scatter_views
from pipeline.models.memory import pool
from pipeline.models.report_model import ReportModel
from training.checkpointing import write_state
from training.concepts import aurocs
from training.config import Config
from training.datasets import Example
from training.distribution import present_ranks
from training.evidence import common_errors, fit_evidence, separations
from training.features import Activations, compute_activations
from training.material import Material
from training.seeing import views_of

log = logging.getLogger(__name__)
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the decoder works from."""

    written: Activations  # pooled maps of the studies with reports, in copies
    choice: Activations  # of the choice split, clean
    logits: Tensor  # [choice, K]
    apart: Tensor  # [K] how well the head tells each concept
    kin: Tensor  # [K, K] how its errors go together


def look(config: Config, material: Material, model: ReportModel) -> Seen:
    """Look at all studies once, and calibrate the model's evidence."""
    kept = _kept(config, material, model)
    ranks = present_ranks()
    if ranks.first and not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_state(kept, _maps(config, material, model))
    ranks.tell(None)  # the others wait for it
    written, choice, logits = torch.load(kept, weights_only=False)
    found = aurocs(material.targets(material.choice), logits, material.names)
    log.info("concepts: AUROC %s", {name: round(value, 3) for name, value in found.items()})
    apart = separations(found, material.names)
    model.calibrate(fit_evidence(logits, material.prevalence, apart))
    kin = common_errors(model.weigh(logits.to(model.device)).cpu(), material.targets(material.choice), apart)
    return Seen(written=written, choice=choice, logits=logits, apart=apart, kin=kin)


def _kept(config: Config, material: Material, model: ReportModel) -> Path:
    settings = (config.data, config.model.grid, config.model.use_image, config.reports.copies)
    digest = hashlib.sha256(repr((*settings, material.names, material.sha256)).encode())
    for part in (model.encoder, model.head):
        for value in part.state_dict().values():
            digest.update(value.cpu().numpy().tobytes())
    return config.run.work / f"maps-{digest.hexdigest()[:12]}.pt"


def _maps(config: Config, material: Material, model: ReportModel) -> tuple[Activations, Activations, Tensor]:
    device = next(model.parameters()).device
    model.eval()

    def whole(views: Tensor) -> Tensor:
        return model.encoder.see(views.to(device))

    def pooled(views: Tensor) -> Tensor:
        return pool(whole(views).unsqueeze(1), config.model.grid).squeeze(1)

    def run(examples: Sequence[Example], copies: int) -> Activations:
        views = [views_of(example, material) for example in examples]
        return compute_activations(views, pooled, copies=copies, seed=config.concepts.seed)

    clean = compute_activations(
        [views_of(example, material) for example in material.choice], whole, copies=1, seed=0
    )
    logits = _judged(model, clean, device)
    places = pool(clean.values.float().unsqueeze(1), config.model.grid).squeeze(1).half()
    choice = Activations(values=places, rows=clean.rows, copies=clean.copies)
    if config.model.use_image:
        return run(material.written, config.reports.copies), choice, logits
    return _nothing(len(material.written), choice), choice, logits


def _nothing(studies: int, like: Activations) -> Activations:
    """No views at all, for a decoder that is told evidence alone."""
    rows = torch.full((studies, like.rows.shape[1]), -1)
    return Activations(values=like.values[:0], rows=rows, copies=torch.ones(studies, dtype=torch.long))


def _judged(model: ReportModel, maps: Activations, device: torch.device) -> Tensor:
    parts = []
    with torch.inference_mode():
        for start in range(0, len(maps.rows), BATCH):
            index = range(start, min(start + BATCH, len(maps.rows)))
            present, mask = maps.batch(index, generator=None)
            parts.append(model.judge(scatter_views(present.to(device), mask.to(device)), mask.to(device)).cpu())
    return torch.cat(parts)
