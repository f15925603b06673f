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

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import torch
from tokenizers import Tokenizer
from torch import Tensor

from pipeline import text
from pipeline.decoding import Decoded, Tokens, decode
from pipeline.findings import TELLABLE, absent_labels, extract, present_labels, split_sentences
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
            undecided = []
            for (study, told), draft in zip(tries, drafts, strict=True):
                choice = self._choice(draft, told, gains[study], guidance)
                if choice.value > kept[study].value + ROUNDING:
                    kept[study] = choice
                    undecided.append(study)
            undecided = list(dict.fromkeys(undecided))
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
        draft = replace(draft, tokens=self._settled(draft.tokens, gains))
        words = text.decode(self.tokenizer, draft.tokens)
        labels = told_problems(" ".join(map(text.detokenize, text.split_sections(words))))
        named = frozenset(k for k, name in enumerate(self.concepts) if name in labels)
        value = draft.confidence + guidance.weight * sum(gains[k] for k in named)
        return _Choice(draft=draft, told=told, named=named, value=value)

    def _settled(self, tokens: Sequence[int], gains: Sequence[float]) -> tuple[int, ...]:
        """Without the sentences that contradict another: what is likely enough stays named, the rest denied.

        A sentence that names something else worth naming stays, and so does a section's last one.
        """
        marks = (self.ids.stop, self.ids.findings, self.ids.impression, self.ids.eos)
        parts = _split_after(tokens, marks)
        said = [_said(text.detokenize(text.decode(self.tokenizer, part))) for part in parts]
        named, denied = (frozenset[str]().union(*labels) for labels in zip(*said, strict=True))
        disputed = {label: gains[self.concepts.index(label)] > 0 for label in named & denied & {*self.concepts}}
        upheld = {label for label, there in disputed.items() if there}
        worthy = {name for name, gain in zip(self.concepts, gains, strict=True) if gain > 0}
        wrong = [
            bool(denies & upheld) or (bool(names & (disputed.keys() - upheld)) and not names & worthy)
            for names, denies in said
        ]
        kept = [part for part, out in zip(parts, wrong, strict=True) if not out]
        return tuple(token for part in kept for token in part) if _whole(kept, self.ids) else tuple(tokens)


def _split_after(tokens: Sequence[int], marks: Collection[int]) -> list[tuple[int, ...]]:
    """Parts that each end with one of the marks."""
    ends = [place + 1 for place, token in enumerate(tokens) if token in marks]
    bounds = [0, *ends, *([len(tokens)] if not ends or ends[-1] != len(tokens) else [])]
    return [tuple(tokens[start:end]) for start, end in pairwise(bounds)]


def _whole(parts: Sequence[Sequence[int]], ids: Tokens) -> bool:
    """Whether no section is empty: a mark is never followed by the next one."""
    sections = {(ids.findings,), (ids.impression,), (ids.eos,)}
    return not any(tuple(one) in sections and tuple(other) in sections for one, other in pairwise(parts))


def told_problems(report: str) -> frozenset[str]:
    """The problems that a report says to be there, or that may be, and does not deny in another sentence."""
    said = [_said(sentence) for sentence in split_sentences(report)]
    named, denied = (frozenset[str]().union(*labels) for labels in zip(*said, strict=True)) if said else ((), ())
    return frozenset(named) - frozenset(denied)


@lru_cache(maxsize=100_000)
def _said(sentence: str) -> tuple[frozenset[str], frozenset[str]]:
    """What one sentence names and denies; drafts repeat each other's."""
    statements = extract(sentence)
    return present_labels(statements), absent_labels(statements)
