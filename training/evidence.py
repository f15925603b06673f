"""How much a concept head's logit tells: its map to evidence, and evidence as it will be on studies never seen.

Legend: B studies, M examples, K concepts. A decoder that learns from the head's own outputs on train studies
learns to trust them too much, since the encoder has seen those studies. So it learns from evidence that is drawn:
for a concept that the head separates with an AUROC of a, logarithms of likelihood ratios of two normal
distributions that are d = sqrt(2) · Φ⁻¹(a) apart (Green and Swets, 1966) have exactly the quality that unseen
studies will bring. The head's logits are mapped linearly to the same mean and deviation. From the choice
split's labels come only one figure per concept and how concepts err together.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import torch
from torch import Generator, Tensor

from pipeline.guidance import SURE

MUTE = 0.05  # a separation below which errors cannot be told from the truth
INDEPENDENT = 0.2  # share of independence in correlations
HIGHEST = 2.5  # of a separation: an AUROC of .96, however lucky the choice split was


def separations(aurocs: Mapping[str, float], names: Sequence[str]) -> Tensor:
    """D of each concept [K], from its AUROC; the mean one where there are too few cases to tell."""
    known = {name: min(HIGHEST, max(0.0, _separation(value))) for name, value in aurocs.items()}
    mean = sum(known.values()) / max(1, len(known))
    return torch.tensor([known.get(name, mean) for name in names])


def _separation(auroc: float) -> float:
    return math.sqrt(2) * NormalDist().inv_cdf(min(max(auroc, 1e-6), 1 - 1e-6))


def fit_evidence(logits: Tensor, prevalence: Tensor, apart: Tensor) -> Tensor:
    """Scale, offset and prior of each concept [3, K] that bring logits [M, K] to the evidence they carry."""
    mean = apart**2 * (prevalence - 0.5)
    deviation = (apart**2 + prevalence * (1 - prevalence) * apart**4).sqrt()
    scale = deviation / logits.std(0).clamp(min=1e-6)
    return torch.stack([scale, mean - scale * logits.mean(0), prevalence.clamp(1e-4, 1 - 1e-4).logit()])


def common_errors(evidence: Tensor, truth: Tensor, apart: Tensor) -> Tensor:
    """How concepts err together: a root [K, K] of the correlation of their errors in evidence [M, K].

    Drawn towards independence, since M studies tell K² correlations only roughly. A concept that tells nothing
    errs alone.
    """
    errors = (evidence + apart**2 / 2) / apart.clamp(min=1e-3) - apart * truth
    errors = torch.where(apart > MUTE, errors - errors.mean(0), 0.0)
    unit = errors / errors.std(0).clamp(min=1e-6)
    kin = INDEPENDENT * torch.eye(len(apart)) + (1 - INDEPENDENT) * unit.T @ unit / len(unit)
    kin.fill_diagonal_(1.0)
    root: Tensor = torch.linalg.cholesky(kin)
    return root


def assure(evidence: Tensor, places: Tensor, share: float, generator: Generator) -> Tensor:
    """Evidence [B, K] in which a share of the studies is told one of the concepts at `places` beyond doubt.

    Any concept as often as any other, whatever the study: so a decoder learns to say what is rare or hard to see.
    """
    if not share or not len(places):
        return evidence
    rows = (torch.rand(len(evidence), generator=generator) < share).nonzero().flatten()
    told = places[torch.randint(len(places), (len(rows),), generator=generator)]
    evidence = evidence.clone()
    evidence[rows, told] = SURE
    return evidence


def draw_evidence(truth: Tensor, apart: Tensor, generator: Generator, kin: Tensor | None = None) -> Tensor:
    """Evidence for studies [B, K] with these concepts, as good as the head's on studies it never saw.

    Errors are independent, or go together as `kin` [K, K] says (`common_errors`).
    """
    noise = torch.randn(truth.shape, generator=generator)
    if kin is not None:
        noise = noise @ kin.T
    return apart * (apart * truth.float() + noise) - apart**2 / 2
