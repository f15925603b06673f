"""What a draft is to tell: of many drafts of a study, that which names what is likely in words that are likely.

Legend: B studies, V views, K concepts, L words of an indication, N rows. A decoder that is told weak evidence
writes what is usual, since that is the likeliest sentence; a problem of one in four chances is never named. So for
each of the likeliest it writes again, that problem told beyond doubt, and the draft with the greatest worth is
kept; then with a second one, and so on. Where the draft may be edited, two more are tried: the draft as it is with
one sentence before it, that by which the model names this problem where it is told of nothing else; and the draft
without a sentence that names only what is unlikely. A draft's worth is the mean log-probability of its words under
the evidence as it is, and for each problem that it names what naming it is expected to bring to a macro F1: its
chance above `even`, rare problems more. A minimum-Bayes-risk choice among a model's own drafts (Kumar and Byrne,
NAACL 2004), in which both terms are the model's. At last an impression may begin with the findings that are likely
(`conclude`). Costs no second look at an image. Assumes chances that are calibrated and a decoder that was taught
to say what it is told surely (`training.evidence.assure`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from tokenizers import Tokenizer
from torch import Tensor

from pipeline import text
from pipeline.decoding import Decoded, Tokens, decode
from pipeline.findings import TELLABLE
from pipeline.manifest import DecodingSettings, Guidance
from pipeline.models.memory import EVIDENCE_LIMIT, Memory, pool
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import VIEWS
from pipeline.sentences import Splitter, denied, joined, named

SURE = EVIDENCE_LIMIT  # evidence beyond doubt: odds change by a factor of 55
MUTED = (-2.0, -1.0, 0.0)  # evidence of everything else where a problem is told alone
SIDES = ("left", "right")  # the evidence of a problem tells no side
ROUNDING = 1e-6  # a gain below it is none
ROWS = 32  # drafts weighed at once: what the model makes of each takes memory, the more the more is tried


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
class _Try:
    study: int
    told: tuple[int, ...]  # concepts for which it was made
    tokens: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    draft: Decoded
    told: tuple[int, ...]
    named: frozenset[int]  # concepts that it names and does not deny
    value: float


@dataclass(frozen=True, kw_only=True)
class Drafter:
    """A model that writes, with its words, the names of its concepts, and how it is to write.

    It remembers how the model names problems: a model that has learnt on wants a new one.
    """

    model: ReportModel
    tokenizer: Tokenizer
    ids: Tokens
    concepts: Sequence[str]
    how: DecodingSettings

    def draft(self, basis: Basis) -> list[Decoded]:
        """One draft per study. Call it under inference mode; studies do not see each other."""
        shape = self.model.config
        maps = pool(basis.maps, shape.grid) if shape.use_image else basis.maps[..., :0, :0]
        basis = replace(basis, maps=maps)
        drafts = self._written(basis)
        if self.how.guidance is not None:
            drafts = [choice.draft for choice in self._guided(basis, drafts, self.how.guidance)]
        return self._concluded(basis, drafts) if self.how.conclude < 1 else drafts

    @cached_property
    def phrases(self) -> Mapping[int, tuple[int, ...]]:
        """How the model names a problem that is told alone: concept -> one sentence; none where it does not.

        The sentence denies nothing, and names as little else in as few words as there is. A side is left out, and
        counts twice, so that sentences that tell none go first.
        """
        sides = {text.token_id(self.tokenizer, side) for side in SIDES}
        wanted = [k for k, name in enumerate(self.concepts) if name in TELLABLE]
        fit: dict[int, list[tuple[int, int, tuple[int, ...]]]] = {}
        for muted in MUTED if wanted else ():
            for concept, draft in zip(wanted, self._written(self._told_alone(wanted, muted)), strict=True):
                for part in self._splitter.split(draft.tokens):
                    tokens = tuple(token for token in part.tokens if token not in sides)
                    said = self._splitter.say(tokens)
                    if self.concepts[concept] in said.named and not said.denied:
                        length = 2 * len(part.tokens) - len(tokens)
                        fit.setdefault(concept, []).append((len(said.named), length, tokens))
        return {concept: min(sentences)[-1] for concept, sentences in fit.items()}

    @cached_property
    def _kinds(self) -> Mapping[int, tuple[int, ...]]:
        """The kinds of a problem that can be more than one thing: "Lung" -> "Lung/hypoinflation" and others."""
        found: dict[int, tuple[int, ...]] = {}
        for kind, name in enumerate(self.concepts):
            general = name.split("/")[0]
            if general != name and general in self.concepts:
                place = self.concepts.index(general)
                found[place] = (*found.get(place, ()), kind)
        return found

    def _told_alone(self, concepts: Sequence[int], muted: float) -> Basis:
        """A study of each concept, without views and without an indication."""
        shape, device = self.model.config, self.model.evidence.device
        channels = self.model.encoder.channels if shape.use_image else 0
        evidence = torch.full((len(concepts), len(self.concepts)), muted, device=device)
        for row, concept in enumerate(concepts):
            generals = [general for general, kinds in self._kinds.items() if concept in kinds]
            evidence[row, [concept, *generals]] = SURE
        return Basis(
            maps=torch.zeros(len(concepts), VIEWS, channels, shape.grid, shape.grid, device=device),
            mask=torch.zeros(len(concepts), VIEWS, dtype=torch.bool, device=device),
            evidence=evidence,
            indication=torch.zeros(len(concepts), 0, dtype=torch.long, device=device),
        )

    @property
    def _splitter(self) -> Splitter:
        return Splitter(tokenizer=self.tokenizer, ids=self.ids)

    def _written(self, basis: Basis) -> list[Decoded]:
        memory = basis.memory(self.model)
        return decode(self.model, memory, self.model.begin(memory), self.ids, self.how)

    def _guided(self, basis: Basis, plain: Sequence[Decoded], guidance: Guidance) -> list[_Choice]:
        gains = self._gains(basis, guidance)
        first = [_Try(study=study, told=(), tokens=draft.tokens) for study, draft in enumerate(plain)]
        kept = self._weigh(basis, first, gains, guidance)
        undecided = list(range(len(kept)))
        for _ in range(guidance.rounds):
            tries = self._rewrite(basis, [(study, kept[study]) for study in undecided], gains, guidance)
            if guidance.edits:
                for study in undecided:
                    tries += self._edit(study, kept[study], gains[study], guidance)
            improved = set()
            for tried, choice in zip(tries, self._weigh(basis, tries, gains, guidance), strict=True):
                if choice.value > kept[tried.study].value + ROUNDING:
                    kept[tried.study] = choice
                    improved.add(tried.study)
            undecided = sorted(improved)
        return kept

    def _gains(self, basis: Basis, guidance: Guidance) -> list[list[float]]:
        """What naming each concept is expected to bring to each study [B][K]; 0 of what no text can name."""
        tellable = torch.tensor([name in TELLABLE for name in self.concepts])
        prior = self.model.evidence[2].sigmoid().cpu()
        worth = (prior.max() / prior).sqrt() * tellable
        gains: list[list[float]] = ((self._chances(basis) - guidance.even) * worth).tolist()
        return gains

    def _chances(self, basis: Basis) -> Tensor:
        """Of each concept in each study [B, K]."""
        return self.model.expect(basis.evidence, basis.memory(self.model)).float().sigmoid().cpu()

    def _wanted(self, choice: _Choice, gains: Sequence[float], guidance: Guidance) -> list[int]:
        """The concepts that are worth naming and are not named yet, the best first."""
        wanted = [k for k, gain in enumerate(gains) if gain > 0 and k not in choice.named]
        best = sorted(wanted, key=lambda k: -gains[k])[: guidance.tried]
        return [k for k in best if k not in choice.told]

    def _rewrite(
        self, basis: Basis, kept: Sequence[tuple[int, _Choice]], gains: Sequence[Sequence[float]], how: Guidance
    ) -> list[_Try]:
        """Drafts of the evidence with one concept more told beyond doubt."""
        wanted = [(s, (*choice.told, k)) for s, choice in kept for k in self._wanted(choice, gains[s], how)]
        if not wanted:
            return []
        honest = basis.rows([study for study, _ in wanted])
        evidence = honest.evidence.clone()
        for row, (_, told) in enumerate(wanted):
            evidence[row, list(told)] = SURE
        drafts = self._written(replace(honest, evidence=evidence))
        return [
            _Try(study=study, told=told, tokens=draft.tokens)
            for (study, told), draft in zip(wanted, drafts, strict=True)
        ]

    def _edit(self, study: int, choice: _Choice, gains: Sequence[float], guidance: Guidance) -> Iterator[_Try]:
        """The draft with a sentence more, which names what it does not yet, or less, which names the unlikely."""
        mark, *sentences = choice.draft.tokens
        parts = self._splitter.split(choice.draft.tokens)
        for k in self._wanted(choice, gains, guidance):
            phrase = self._phrase(k, gains)
            if phrase and not any({*phrase} <= {*part.tokens} for part in parts):  # else a reader has read it
                yield _Try(study=study, told=(*choice.told, k), tokens=(mark, *phrase, *sentences))
        gain_of = dict(zip(self.concepts, gains, strict=True))
        for number, part in enumerate(parts):
            rest = [*parts[:number], *parts[number + 1 :]]
            if sum(gain_of.get(label, 0.0) for label in part.said.named) < 0 and self._splitter.is_whole(rest):
                yield _Try(study=study, told=choice.told, tokens=joined(rest))

    def _phrase(self, concept: int, gains: Sequence[float]) -> tuple[int, ...]:
        """The sentence that names a concept, where it has kinds the likeliest; () where there is none."""
        kinds = sorted(self._kinds.get(concept, ()), key=lambda kind: -gains[kind])
        return next((self.phrases[each] for each in (*kinds, concept) if each in self.phrases), ())

    def _concluded(self, basis: Basis, drafts: Sequence[Decoded]) -> list[Decoded]:
        """The drafts with impressions that name what is likely where the findings do."""
        concluded = []
        for draft, chances in zip(drafts, self._chances(basis).tolist(), strict=True):
            likely = [name for name, each in zip(self.concepts, chances, strict=True) if each > self.how.conclude]
            concluded.append(joined(self._splitter.conclude(self._splitter.split(draft.tokens), likely)))
        means = self._confidences(basis, range(len(drafts)), concluded)
        return [Decoded(tokens=tokens, confidence=mean) for tokens, mean in zip(concluded, means, strict=True)]

    def _weigh(
        self, basis: Basis, tries: Sequence[_Try], gains: Sequence[Sequence[float]], guidance: Guidance
    ) -> list[_Choice]:
        """What each is worth, once what it names and denies is settled."""
        choices = []
        for tried in tries:
            parts = self._splitter.split(tried.tokens)
            gain_of = dict(zip(self.concepts, gains[tried.study], strict=True))
            parts = self._splitter.settle(parts, gain_of, [label for label, gain in gain_of.items() if gain > 0])
            labels = named(parts) - denied(parts)
            choice = _Choice(
                draft=Decoded(tokens=joined(parts), confidence=0.0),
                told=tried.told,
                named=frozenset(k for k, name in enumerate(self.concepts) if name in labels),
                value=guidance.weight * sum(gain for label, gain in gain_of.items() if label in labels),
            )
            choices.append(choice)
        confidences = self._confidences(basis, [tried.study for tried in tries], [c.draft.tokens for c in choices])
        return [
            replace(choice, draft=replace(choice.draft, confidence=mean), value=choice.value + mean)
            for choice, mean in zip(choices, confidences, strict=True)
        ]

    def _confidences(self, basis: Basis, studies: Sequence[int], drafts: Sequence[tuple[int, ...]]) -> list[float]:
        """The mean log-probability of each draft's words under the study's evidence as it is."""
        found: list[float] = []
        for start in range(0, len(drafts), ROWS):
            part = slice(start, start + ROWS)
            begun = [[self.ids.bos, *tokens] for tokens in drafts[part]]
            longest = max(map(len, begun))
            padded = [[*row, *[self.ids.pad] * (longest - len(row))] for row in begun]
            tokens = torch.tensor(padded, device=basis.evidence.device)
            memory = basis.rows(studies[part]).memory(self.model)
            chosen = self.model.score(tokens, memory)[:, 1:]  # <findings> was no choice
            written = tokens[:, 2:] != self.ids.pad
            found += ((chosen * written).sum(1) / written.sum(1).clamp(min=1)).tolist()
        return found
