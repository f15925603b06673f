"""What a draft is to tell: problems that are likely are told beyond doubt, and kept where the draft is worth more.

Legend: B studies, V views, K concepts, L words of an indication, N rows. A decoder that is told weak evidence
writes what is usual, since that is the likeliest sentence; a problem of one in four chances is never named. So it
writes again with one problem more told beyond doubt, for each of the likeliest, and the draft with the greatest
worth is kept; then with a second one, and so on. A draft's worth is the mean log-probability of its words under
the evidence as it is, and for each problem that it names what naming it is expected to bring to a macro F1: its
chance above `even`, rare problems more. A minimum-Bayes-risk choice among a model's own drafts (Kumar and Byrne,
NAACL 2004), in which both terms are the model's. Costs no second look at an image. Assumes chances that are
calibrated and a decoder that was taught to say what it is told surely (`training.evidence.assure`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from tokenizers import Tokenizer
from torch import Tensor

from pipeline import text
from pipeline.decoding import Decoded, Tokens, decode
from pipeline.findings import TELLABLE, Said, said
from pipeline.manifest import DecodingSettings, Guidance
from pipeline.models.memory import EVIDENCE_LIMIT, Memory, pool
from pipeline.models.report_model import ReportModel

SURE = EVIDENCE_LIMIT  # evidence beyond doubt: odds change by a factor of 55
ROUNDING = 1e-6  # a gain below it is none


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What drafts are made from."""

    maps: Tensor  # [B, V, C, h, w]
    mask: Tensor  # [B, V]
    evidence: Tensor  # [B, K]
    indication: Tensor  # [B, L] ids

    def memory(self, model: ReportModel) -> Memory:
        """What a model makes of it."""
        return model.remember(self.maps, self.mask, self.evidence, self.indication)

    def rows(self, index: Sequence[int]) -> "Basis":
        """Some of the studies, as often as told."""
        parts = (self.maps, self.mask, self.evidence, self.indication)
        maps, mask, evidence, indication = (part[list(index)] for part in parts)
        return Basis(maps=maps, mask=mask, evidence=evidence, indication=indication)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    draft: Decoded
    told: tuple[int, ...]  # concepts that it was told beyond doubt
    named: frozenset[int]  # concepts that it names
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    tokens: tuple[int, ...]  # a sentence, or the mark of a section
    said: Said


@dataclass(frozen=True, kw_only=True)
class Drafter:
    """A model that writes, with its words and the names of its concepts."""

    model: ReportModel
    tokenizer: Tokenizer
    ids: Tokens
    concepts: Sequence[str]

    def draft(self, basis: Basis, how: DecodingSettings) -> list[Decoded]:
        """One draft per study. Call it under inference mode; studies do not see each other."""
        shape = self.model.config
        maps = pool(basis.maps, shape.grid) if shape.use_image else basis.maps[..., :0, :0]
        basis = replace(basis, maps=maps)
        plain = self._written(basis, how)
        if how.guidance is None:
            return plain
        return [choice.draft for choice in self._guided(basis, plain, how, how.guidance)]

    def _written(self, basis: Basis, how: DecodingSettings) -> list[Decoded]:
        memory = basis.memory(self.model)
        return decode(self.model, memory, self.model.begin(memory), self.ids, how)

    def _guided(
        self, basis: Basis, plain: Sequence[Decoded], how: DecodingSettings, guidance: Guidance
    ) -> list[_Choice]:
        gains = self._gains(basis, guidance)
        kept = [self._choice(draft, (), gain, guidance) for draft, gain in zip(plain, gains, strict=True)]
        undecided = list(range(len(kept)))
        for _ in range(guidance.rounds):
            tries = [
                (study, told) for study in undecided for told in self._tries(kept[study], gains[study], guidance)
            ]
            drafts = self._told_surely(basis, tries, how) if tries else []
            improved = set()
            for (study, told), draft in zip(tries, drafts, strict=True):
                choice = self._choice(draft, told, gains[study], guidance)
                if choice.value > kept[study].value + ROUNDING:
                    kept[study] = choice
                    improved.add(study)
            undecided = sorted(improved)
        return kept

    def _gains(self, basis: Basis, guidance: Guidance) -> list[list[float]]:
        """What naming each concept is expected to bring to each study [B][K]; 0 of what no text can name."""
        tellable = torch.tensor([name in TELLABLE for name in self.concepts])
        prior = self.model.evidence[2].sigmoid().cpu()
        worth = (prior.max() / prior).sqrt() * tellable
        chances = self.model.expect(basis.evidence, basis.memory(self.model)).float().sigmoid().cpu()
        gains: list[list[float]] = ((chances - guidance.even) * worth).tolist()
        return gains

    def _tries(self, choice: _Choice, gains: Sequence[float], guidance: Guidance) -> list[tuple[int, ...]]:
        """The concepts told so far with one more, for each that is worth naming and is not named yet."""
        wanted = [k for k, gain in enumerate(gains) if gain > 0 and k not in choice.named]
        best = sorted(wanted, key=lambda k: -gains[k])[: guidance.tried]
        return [(*choice.told, k) for k in best if k not in choice.told]

    def _told_surely(
        self, basis: Basis, tries: Sequence[tuple[int, tuple[int, ...]]], how: DecodingSettings
    ) -> list[Decoded]:
        """A draft for each try, with its confidence under the evidence as it is."""
        honest = basis.rows([study for study, _ in tries])
        evidence = honest.evidence.clone()
        for row, (_, told) in enumerate(tries):
            evidence[row, list(told)] = SURE
        drafts = self._written(replace(honest, evidence=evidence), how)
        begun = [[self.ids.bos, *draft.tokens] for draft in drafts]
        longest = max(map(len, begun))
        padded = [[*row, *[self.ids.pad] * (longest - len(row))] for row in begun]
        tokens = torch.tensor(padded, device=evidence.device)
        scores = self.model.read(tokens[:, :-1], honest.memory(self.model)).float().log_softmax(-1)
        chosen = scores.gather(2, tokens[:, 1:, None]).squeeze(2)[:, 1:]  # <findings> was no choice
        written = tokens[:, 2:] != self.ids.pad
        means = (chosen * written).sum(1) / written.sum(1).clamp(min=1)
        return [replace(draft, confidence=mean) for draft, mean in zip(drafts, means.tolist(), strict=True)]

    def _choice(
        self, draft: Decoded, told: tuple[int, ...], gains: Sequence[float], guidance: Guidance
    ) -> _Choice:
        parts = self._settled(draft.tokens, gains)
        labels = _union(part.said.named for part in parts) - _union(part.said.denied for part in parts)
        named = frozenset(k for k, name in enumerate(self.concepts) if name in labels)
        value = draft.confidence + guidance.weight * sum(gains[k] for k in named)
        tokens = tuple(token for part in parts for token in part.tokens)
        return _Choice(draft=replace(draft, tokens=tokens), told=told, named=named, value=value)

    def _settled(self, tokens: Sequence[int], gains: Sequence[float]) -> list[_Part]:
        """Without the sentences that contradict another: what is likely enough stays named, the rest denied.

        A sentence that names something else worth naming stays. All stay where a section would be empty.
        """
        parts = [
            _Part(tokens=part, said=said(text.detokenize(text.decode(self.tokenizer, part))))
            for part in _split_after(tokens, (self.ids.stop, *self._marks))
        ]
        likely = {name for name, gain in zip(self.concepts, gains, strict=True) if gain > 0}
        disputed = _union(part.said.named for part in parts) & _union(part.said.denied for part in parts)
        disputed &= {*self.concepts}
        kept = [part for part in parts if not _is_wrong(part.said, disputed, likely)]
        return kept if self._is_whole(kept) else parts

    def _is_whole(self, parts: Sequence[_Part]) -> bool:
        """Whether no section is empty: a mark is never followed by the next one."""
        lone = [len(part.tokens) == 1 and part.tokens[0] in self._marks for part in parts]
        return not any(one and other for one, other in pairwise(lone))

    @property
    def _marks(self) -> tuple[int, ...]:
        return (self.ids.findings, self.ids.impression, self.ids.eos)


def _is_wrong(told: Said, disputed: Collection[str], likely: Collection[str]) -> bool:
    """Whether a sentence takes the wrong side in what is disputed, and says nothing else worth saying."""
    denies_likely = any(label in disputed and label in likely for label in told.denied)
    names_unlikely = any(label in disputed and label not in likely for label in told.named)
    return denies_likely or (names_unlikely and not any(label in likely for label in told.named))


def _union(labels: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*labels)


def _split_after(tokens: Sequence[int], marks: Collection[int]) -> list[tuple[int, ...]]:
    """Parts that each end with one of the marks."""
    ends = [place + 1 for place, token in enumerate(tokens) if token in marks]
    bounds = [0, *ends, *([len(tokens)] if not ends or ends[-1] != len(tokens) else [])]
    return [tuple(tokens[start:end]) for start, end in pairwise(bounds)]
