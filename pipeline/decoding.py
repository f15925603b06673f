"""Greedy and beam search over any captioning model, batched; greedy is a beam of one.

Legend: B studies, W beams, N = B·W rows, Y vocabulary. Every sequence has the form `<findings> sentence+
<impression> sentence+ <eos>`: the next section can begin only after a full stop, and is forced when a section is
at its largest length. Scores are the model's own log-probabilities, not renormalised after a constraint, so a
confidence means the same whatever the constraints. Rows never see each other: a study's result does not depend on
its neighbours. Assumes that ids of the special tokens are told. Knows no words.
"""

from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from pipeline.manifest import DecodingSettings

Memory: TypeAlias = dict[str, Tensor]  # what is fixed for a study; every tensor has the rows first
State: TypeAlias = dict[str, Tensor]  # what changes with each token; every tensor has the rows first
NEVER = float("-inf")


class Captioning(Protocol):
    """A model that can be decoded. Pure: no call changes the model; called under inference mode."""

    def begin(self, memory: Memory) -> State:
        """The state before any word."""

    def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Ids [N] -> log-probabilities of the next token [N, Y], and the state after the given one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Ids of the tokens that the form of a report is made of."""

    pad: int
    bos: int
    eos: int
    unk: int
    findings: int
    impression: int
    stop: int  # "."


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """One sequence, without <bos>."""

    tokens: tuple[int, ...]
    confidence: float  # mean log-probability per chosen token


@dataclass
class _Search:
    """The beams' common state; row b·W + w is beam w of study b."""

    tokens: Tensor  # [N, length so far]
    scores: Tensor  # [N] sum of log-probabilities
    finished: Tensor  # [N]
    impression_at: Tensor  # [N] where the impression began, 0 before
    lengths: Tensor  # [N] chosen tokens


def decode(model: Captioning, memory: Memory, state: State, ids: Tokens, how: DecodingSettings) -> list[Decoded]:
    """The best sequence of each study."""
    beams = how.beams
    memory = {key: value.repeat_interleave(beams, 0) for key, value in memory.items()}
    state = {key: value.repeat_interleave(beams, 0) for key, value in state.items()}
    search = _begin(len(next(iter(state.values()))), beams, ids, next(iter(state.values())).device)
    _, state = model.step(torch.full_like(search.tokens[:, 0], ids.bos), state, memory)
    for _ in range(how.max_findings + how.max_impression + 2):
        log_probabilities, state = model.step(search.tokens[:, -1], state, memory)
        search, parents = _advance(search, _constrain(log_probabilities, search, ids, how), ids, how)
        state = {key: value[parents] for key, value in state.items()}
        if bool(search.finished.all()):
            break
    return _best(search, ids, how)


def sample(
    model: Captioning, memory: Memory, ids: Tokens, how: DecodingSettings, generator: torch.Generator
) -> Tensor:
    """A random sequence for each row of a prepared memory, as likely as the model finds it: [N, T] with <pad>."""
    state = model.begin(memory)
    rows = len(next(iter(memory.values())))
    device = next(iter(memory.values())).device
    search = replace(_begin(rows, 1, ids, device), scores=torch.zeros(rows, device=device))
    _, state = model.step(torch.full_like(search.tokens[:, 0], ids.bos), state, memory)
    for _ in range(how.max_findings + how.max_impression + 2):
        log_probabilities, state = model.step(search.tokens[:, -1], state, memory)
        scores = _constrain(log_probabilities, search, ids, how)
        scores[search.finished, ids.pad] = 0.0  # a draw wants a chance in every row
        chances = scores.softmax(-1).cpu()  # of what is allowed, however unlikely the model finds all of it
        drawn = torch.multinomial(chances, 1, generator=generator).squeeze(1).to(device)
        search = _follow(search, drawn, ids)
        if bool(search.finished.all()):
            break
    return search.tokens


def _follow(search: _Search, drawn: Tensor, ids: Tokens) -> _Search:
    drawn = torch.where(search.finished, ids.pad, drawn)
    lengths = search.lengths + (~search.finished).long()
    return _Search(
        tokens=torch.cat([search.tokens, drawn.unsqueeze(1)], dim=1),
        scores=search.scores,
        finished=search.finished | (drawn == ids.eos),
        impression_at=torch.where(drawn == ids.impression, lengths, search.impression_at),
        lengths=lengths,
    )


def _begin(rows: int, beams: int, ids: Tokens, device: torch.device) -> _Search:
    scores = torch.full((rows,), NEVER, device=device)
    scores[::beams] = 0.0  # all beams start alike: only the first may branch
    nothing = torch.zeros(rows, dtype=torch.long, device=device)
    start = torch.full((rows, 1), ids.findings, device=device)
    return _Search(start, scores, nothing.bool(), nothing, nothing.clone())


def _constrain(scores: Tensor, search: _Search, ids: Tokens, how: DecodingSettings) -> Tensor:
    """Forbid what a report cannot contain here: [N, Y] -> [N, Y] with -inf."""
    scores = scores.clone()
    scores[:, [ids.pad, ids.bos, ids.unk, ids.findings]] = NEVER
    in_impression = search.impression_at > 0
    section_end = torch.where(in_impression, ids.eos, ids.impression)
    other_end = torch.where(in_impression, ids.impression, ids.eos)
    scores.scatter_(1, other_end.unsqueeze(1), NEVER)
    used = torch.where(in_impression, search.lengths - search.impression_at, search.lengths)
    full = used >= torch.where(in_impression, how.max_impression, how.max_findings)
    last = search.tokens[:, -1]
    may_end = (last == ids.stop) | full
    scores[~may_end] = scores[~may_end].scatter(1, section_end[~may_end].unsqueeze(1), NEVER)
    may_stop = (last != ids.stop) & (last != ids.findings) & (last != ids.impression)
    scores[~may_stop, ids.stop] = NEVER
    if how.block_trigrams:
        _forbid_repeats(scores, search)
    ends = scores.gather(1, section_end.unsqueeze(1))
    return torch.where(
        full.unsqueeze(1), torch.full_like(scores, NEVER).scatter(1, section_end.unsqueeze(1), ends), scores
    )


def _forbid_repeats(scores: Tensor, search: _Search) -> None:
    """No word twice in a row, no trigram twice in one section; full stops count as words."""
    tokens = search.tokens
    scores.scatter_(1, tokens[:, -1:], NEVER)
    length = tokens.shape[1]
    if length < 3:  # noqa: PLR2004 - a trigram
        return
    starts = torch.arange(length - 2, device=tokens.device)
    same = (tokens[:, :-2] == tokens[:, -2:-1]) & (tokens[:, 1:-1] == tokens[:, -1:])
    same &= starts >= search.impression_at.unsqueeze(1)
    rows, places = same.nonzero(as_tuple=True)
    scores[rows, tokens[rows, places + 2]] = NEVER


def _advance(search: _Search, scores: Tensor, ids: Tokens, how: DecodingSettings) -> tuple[_Search, Tensor]:
    """Choose the best W continuations of each study; a finished beam continues with <pad> at no cost."""
    beams, words = how.beams, scores.shape[1]
    scores[search.finished] = NEVER
    scores[search.finished, ids.pad] = 0.0
    total = search.scores.unsqueeze(1) + scores
    lengths = search.lengths + (~search.finished).long()
    ranked = (total / lengths.clamp(min=1).unsqueeze(1).float() ** how.length_penalty).view(-1, beams * words)
    chosen = ranked.topk(beams, dim=1).indices  # [B, W]
    parents = (chosen // words + torch.arange(len(chosen), device=chosen.device).unsqueeze(1) * beams).flatten()
    token = (chosen % words).flatten()
    began = torch.where(token == ids.impression, lengths[parents], search.impression_at[parents])
    return _Search(
        tokens=torch.cat([search.tokens[parents], token.unsqueeze(1)], dim=1),
        scores=total.flatten().gather(0, parents * words + token),
        finished=search.finished[parents] | (token == ids.eos),
        impression_at=began,
        lengths=lengths[parents],
    ), parents


def _best(search: _Search, ids: Tokens, how: DecodingSettings) -> list[Decoded]:
    """The first beam of each study: topk sorts, so it is the one with the best score."""
    results = []
    for row in range(0, len(search.tokens), how.beams):
        tokens = [token for token in search.tokens[row].tolist() if token != ids.pad]
        confidence = float(search.scores[row] / search.lengths[row].clamp(min=1))
        results.append(Decoded(tokens=tuple(tokens), confidence=confidence))
    return results
