from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from pipeline.decoding import Decoded, Memory, State, Tokens, decode, sample
from pipeline.manifest import DecodingSettings

IDS = Tokens(pad=0, bos=1, eos=2, unk=3, findings=4, impression=5, stop=6)
WORDS = 20
HOW = DecodingSettings(
    beams=3, max_findings=12, max_impression=7, length_penalty=1.0, block_trigrams=False, evidence={}
)


class Oracle:
    """A model whose next word depends on the last word and on the study, by a fixed random table."""

    def __init__(self, seed: int = 0, favour: int | None = None) -> None:
        table = torch.randn(WORDS, WORDS, generator=torch.Generator().manual_seed(seed)) * 2
        if favour is not None:
            table[:, favour] += 20
        self.table = table

    def encode(self, views: Tensor, mask: Tensor, indication: Tensor) -> tuple[Memory, State, Tensor]:
        """Never called: the studies' memory is given."""
        raise NotImplementedError

    def begin(self, memory: Memory) -> State:
        """Count the words so far."""
        return {"count": torch.zeros(len(memory["study"]), 1)}

    def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Depend on the last word, the study and the place."""
        logits = self.table[tokens] + memory["study"] * (state["count"] + 1)
        return logits.log_softmax(-1), {"count": state["count"] + 1}


def search(model: Oracle, studies: Tensor, how: DecodingSettings = HOW) -> list[Decoded]:
    return decode(model, {"study": studies}, {"count": torch.zeros(len(studies), 1)}, IDS, how)


def some_studies(count: int) -> Tensor:
    return torch.randn(count, WORDS, generator=torch.Generator().manual_seed(5)) * 0.3


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("beams", [1, 3])
def test_every_report_has_both_sections_and_ends(seed: int, beams: int) -> None:
    for decoded in search(Oracle(seed), some_studies(6), replace(HOW, beams=beams)):
        tokens = decoded.tokens
        assert tokens[0] == IDS.findings
        assert tokens[-1] == IDS.eos
        assert tokens.count(IDS.impression) == tokens.count(IDS.eos) == tokens.count(IDS.findings) == 1
        assert not {IDS.pad, IDS.bos, IDS.unk} & set(tokens)
        middle = tokens.index(IDS.impression)
        assert 2 <= middle - 1 <= HOW.max_findings
        assert 2 <= len(tokens) - middle - 2 <= HOW.max_impression


@pytest.mark.parametrize("favoured", [IDS.pad, IDS.unk, IDS.eos, IDS.impression, IDS.stop, 9])
def test_no_preference_of_the_model_breaks_the_form(favoured: int) -> None:
    (decoded,) = search(Oracle(favour=favoured), some_studies(1))
    assert decoded.tokens[-1] == IDS.eos
    assert IDS.impression in decoded.tokens
    assert IDS.pad not in decoded.tokens
    assert (IDS.stop, IDS.stop) not in set(zip(decoded.tokens, decoded.tokens[1:], strict=False))


@pytest.mark.parametrize("beams", [1, 3])
def test_a_study_is_decoded_alike_alone_and_in_company(beams: int) -> None:
    how, studies = replace(HOW, beams=beams), some_studies(9)
    together = search(Oracle(2), studies, how)
    alone = [search(Oracle(2), studies[i : i + 1], how)[0] for i in range(len(studies))]
    assert [item.tokens for item in together] == [item.tokens for item in alone]
    assert [item.confidence for item in together] == pytest.approx([item.confidence for item in alone])


def test_a_confidence_is_the_mean_log_probability_of_the_chosen_tokens() -> None:
    model, studies = Oracle(3), some_studies(1)
    (decoded,) = search(model, studies)
    total, state = 0.0, {"count": torch.ones(1, 1)}
    for token, following in zip(decoded.tokens, decoded.tokens[1:], strict=False):
        scores, state = model.step(torch.tensor([token]), state, {"study": studies})
        total += float(scores[0, following])
    assert decoded.confidence == pytest.approx(total / (len(decoded.tokens) - 1), rel=1e-4)


def test_a_wider_beam_finds_texts_at_least_as_likely() -> None:
    studies = some_studies(12)
    narrow = search(Oracle(4), studies, replace(HOW, beams=1))
    wide = search(Oracle(4), studies, replace(HOW, beams=6))
    assert sum(item.confidence for item in wide) > sum(item.confidence for item in narrow)


def test_no_three_words_come_twice_in_a_section() -> None:
    how = replace(HOW, block_trigrams=True, max_findings=30, max_impression=30)
    for decoded in search(Oracle(1), some_studies(6), how):
        middle = decoded.tokens.index(IDS.impression)
        for section in (decoded.tokens[:middle], decoded.tokens[middle:]):
            trigrams = list(zip(section, section[1:], section[2:], strict=False))
            assert len(trigrams) == len(set(trigrams))
            assert all(one != other for one, other in pairwise(section))


def draw(model: Oracle, studies: Tensor, seed: int = 0, how: DecodingSettings = HOW) -> list[list[int]]:
    memory = {"study": studies}
    rows = sample(model, memory, IDS, how, torch.Generator().manual_seed(seed)).tolist()
    return [[token for token in row if token != IDS.pad] for row in rows]


@pytest.mark.parametrize("favoured", [None, IDS.pad, IDS.unk, IDS.eos, IDS.impression, IDS.stop, 9])
@pytest.mark.parametrize("block", [False, True])
def test_every_random_draft_has_both_sections_and_ends(favoured: int | None, *, block: bool) -> None:
    for tokens in draw(Oracle(favour=favoured), some_studies(40), how=replace(HOW, block_trigrams=block)):
        assert tokens[0] == IDS.findings
        assert tokens[-1] == IDS.eos
        assert tokens.count(IDS.impression) == tokens.count(IDS.eos) == tokens.count(IDS.findings) == 1
        assert not {IDS.pad, IDS.bos, IDS.unk} & set(tokens)
        assert (IDS.stop, IDS.stop) not in set(pairwise(tokens))


def test_a_random_draft_may_be_as_long_as_a_searched_one() -> None:
    """A model that never wants to stop fills both sections."""
    endless = Oracle()
    endless.table[:, [IDS.stop, IDS.eos, IDS.impression]] -= 1e4
    for tokens in (*draw(endless, some_studies(3)), *(item.tokens for item in search(endless, some_studies(3)))):
        middle = list(tokens).index(IDS.impression)
        assert (middle - 1, len(tokens) - middle - 2) == (HOW.max_findings, HOW.max_impression)


def test_words_are_drawn_as_often_as_the_model_finds_them_likely() -> None:
    model, studies = Oracle(7), some_studies(1).expand(4000, -1)
    drafts = draw(model, studies)
    scores, _ = model.step(torch.tensor([IDS.findings]), {"count": torch.ones(1, 1)}, {"study": studies[:1]})
    allowed = [word for word in range(WORDS) if word > IDS.stop]
    likely = scores[0, allowed].softmax(0).tolist()
    for word, chance in zip(allowed, likely, strict=True):
        assert sum(tokens[1] == word for tokens in drafts) / len(drafts) == pytest.approx(chance, abs=0.03)


def test_equal_seeds_draw_equal_drafts() -> None:
    studies = some_studies(5)
    assert draw(Oracle(), studies, seed=3) == draw(Oracle(), studies, seed=3) != draw(Oracle(), studies, seed=4)
