"""The report that is expected to be best: what to write, given what the image tells and what was asked.

Legend: B studies, N written reports, C candidates, K concepts, P problems, F words of indications. Given weak
evidence, the report that somebody wrote is one of many that could have been; the one to write is that with the
greatest expected score over all of them (minimum Bayes risk; consensus captions of Devlin et al., arXiv
1505.04467). A written report counts by how likely the evidence is under its coded concepts, and by how alike its
indication is, since departments have their own words. Naming a problem adds what it is expected to bring or cost.
The choice teaches a decoder (`training.captions`), which then needs no report at hand; with `except_own` a study
never sees its own. Assumes concepts err independently, which `trust` tempers. Knows no image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import ConsensusConfig
from training.grams import Vectors, cider, overlap, sentence_bleu
from training.reward import Truthfulness, said_by

LIMIT = 6.0  # of one concept's evidence


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What is known of the studies with written reports."""

    concepts: Tensor  # [N, K] of 0 and 1
    problems: Tensor  # [N, P] of 0 and 1, coded
    indications: Tensor  # [N, F] unit vectors
    vectors: Vectors
    places: Tensor  # [P] where each problem stands among the concepts

    def expect(self, evidence: Tensor, indications: Tensor, how: ConsensusConfig, own: Tensor | None) -> Tensor:
        """The probability of each problem [B, P]: how often such indications bring it, and the evidence."""
        alike = how.department * indications @ self.indications.T
        if own is not None:
            alike = alike.scatter(1, own[:, None], float("-inf"))
        prior = (alike.softmax(-1) @ self.problems).clamp(1e-4, 1 - 1e-4).logit()
        return (prior + evidence[:, self.places].clamp(-LIMIT, LIMIT)).sigmoid()

    def weigh(self, evidence: Tensor, indications: Tensor, how: ConsensusConfig, own: Tensor | None) -> Tensor:
        """How likely each written report is for studies with evidence [B, K] and indications [B, F]: [B, N]."""
        likely = how.trust * evidence.clamp(-LIMIT, LIMIT) @ self.concepts.T
        likely = likely + how.department * indications @ self.indications.T
        if own is not None:
            likely = likely.scatter(1, own[:, None], float("-inf"))
        return likely.softmax(-1)


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Texts of one section, with what each is worth."""

    texts: Sequence[tuple[str, ...]]  # sentences
    likeness: Tensor  # [C, N] to each written report
    names: Tensor  # [C, P] which problems it names

    def choose(self, weights: Tensor, expected: Tensor, worth: Tensor, how: ConsensusConfig) -> Tensor:
        """The best candidate of each study [B], from the reports' weights [B, N] and the problems' chances."""
        gains = (expected - how.even) * worth
        return (weights @ self.likeness.T + how.truthfulness * gains @ self.names.T).argmax(1)

    def only(self, kept: Sequence[int]) -> "Candidates":
        """Some of them."""
        index = torch.tensor(kept)
        return Candidates(
            texts=[self.texts[i] for i in kept], likeness=self.likeness[index], names=self.names[index]
        )


def likeness(candidates: Sequence[str], references: Sequence[str], how: ConsensusConfig) -> Tensor:
    """What each candidate is worth to each reference [C, N], both cleaned as for scores."""
    total = torch.zeros(len(candidates), len(references))
    for weight, measure in ((how.cider, cider), (how.overlap, overlap), (how.bleu, sentence_bleu)):
        if weight:
            total += weight * measure(candidates, references)
    return total


def names_of(texts: Sequence[tuple[str, ...]], truth: Truthfulness) -> Tensor:
    """Which rewarded problems each text names [C, P]."""
    named = [frozenset[str]().union(*(said_by(part).named for part in text)) for text in texts]
    return torch.tensor([[float(label in found) for label in truth.worth] for found in named])


def composed(
    bases: Sequence[tuple[str, ...]], sentences: Sequence[Sequence[str]], names: Tensor, truth: Truthfulness
) -> list[tuple[str, ...]]:
    """Each base with one more sentence, before or after, of a problem [P] that it does not name yet.

    What the base says against that problem goes: a heart is not enlarged and of normal size.
    """
    made: dict[tuple[str, ...], None] = {}
    for base, named in zip(bases, names.tolist(), strict=True):
        for label, known, telling in zip(truth.worth, named, sentences, strict=True):
            if not known:
                rest = tuple(part for part in base if label not in said_by(part).denied)
                made |= {text: None for sentence in telling for text in ((sentence, *rest), (*rest, sentence))}
    return list(made)
