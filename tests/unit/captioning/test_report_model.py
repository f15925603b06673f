"""Promises that every architecture keeps: the same alone as in company and step by step, deaf where told to be."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.models.encoder import EncoderConfig
from pipeline.models.memory import Memory
from pipeline.models.report_model import DECODERS, PLACES, ReportModel
from pipeline.models.shape import Shape
from pipeline.text import build_tokenizer, report_tokens
from tests.unit.captioning.conftest import CONCEPTS, SENTENCES, tiny_manifest

VOCABULARY = 20
SHAPE = Shape(
    vocabulary=VOCABULARY,
    concepts=2,
    encoder=EncoderConfig(backbone="squeezenet1_1"),
    grid=2,
    width=16,
    hidden=24,
    layers=2,
    heads=2,
)
TOKENS = torch.tensor([[1, 4, 7, 8, 6, 5, 9, 6], [1, 4, 8, 6, 5, 7, 9, 9], [1, 4, 10, 11, 12, 6, 5, 7]])
TOLD = torch.tensor([[9, 8, 7], [0, 0, 0], [12, 0, 0]])
MASK = torch.tensor([[True, True], [True, False], [False, True]])
BOTH = torch.ones(3, 2, dtype=torch.bool)

every_architecture = pytest.mark.parametrize("architecture", DECODERS)


def build(architecture: str = "attention", **changes: Any) -> ReportModel:
    torch.manual_seed(0)
    return ReportModel(architecture, replace(SHAPE, **changes)).eval()


def maps_of(model: ReportModel, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, 2, model.encoder.channels, 3, 3, generator=generator)


def encode(model: ReportModel, views: Tensor, mask: Tensor, told: Tensor) -> tuple[Memory, Tensor]:
    """The memory of what is seen and told, and the concepts' probabilities."""
    maps = model.see(views, mask)
    evidence = model.weigh(model.judge(maps, mask))
    return model.remember(maps, mask, evidence, told), model.believe(evidence)


def read(
    model: ReportModel,
    maps: Tensor | None = None,
    mask: Tensor = MASK,
    evidence: Tensor | None = None,
    told: Tensor = TOLD,
) -> Tensor:
    """Logits [3, T, Y] of what is told."""
    maps = maps_of(model) if maps is None else maps
    maps = maps * mask[:, :, None, None, None]
    evidence = torch.tensor([[2.0, -1.0], [0.5, 3.0], [0.0, 0.0]]) if evidence is None else evidence
    with torch.inference_mode():
        return model.read(TOKENS, model.remember(maps, mask, evidence, told))


@every_architecture
def test_words_one_by_one_are_those_of_the_whole_sequence(architecture: str) -> None:
    model = build(architecture)
    with torch.inference_mode():
        views = torch.randint(0, 255, (3, 2, 64, 64), dtype=torch.uint8)
        memory, concepts = encode(model, views, MASK, TOLD)
        state = model.begin(memory)
        whole = model.read(TOKENS, memory).log_softmax(-1)
        for place in range(TOKENS.shape[1]):
            step, state = model.step(TOKENS[:, place], state, memory)
            assert torch.allclose(step, whole[:, place], atol=1e-4)
    assert concepts.shape == (3, SHAPE.concepts)


@every_architecture
@pytest.mark.parametrize("length", [2, PLACES + 1, 2 * PLACES + 3])
def test_a_sequence_scored_in_pieces_is_scored_as_a_whole(architecture: str, length: int) -> None:
    model = build(architecture)
    tokens = TOKENS.repeat(1, 5)[:, :length]
    with torch.inference_mode():
        memory = model.remember(maps_of(model), BOTH, torch.zeros(3, 2), TOLD)
        whole = model.read(tokens[:, :-1], memory).log_softmax(-1)
        assert torch.allclose(
            model.score(tokens, memory), whole.gather(2, tokens[:, 1:, None]).squeeze(2), atol=1e-4
        )


@every_architecture
def test_neighbours_and_padding_change_no_study(architecture: str) -> None:
    model = build(architecture)
    generator = torch.Generator().manual_seed(0)
    views = torch.randint(0, 255, (3, 2, 64, 64), dtype=torch.uint8, generator=generator)
    with torch.inference_mode():
        memory, concepts = encode(model, views, MASK, TOLD)
        together = model.read(TOKENS, memory)
        for row, words in enumerate((3, 0, 1)):
            part = slice(row, row + 1)
            memory, own = encode(model, views[part], MASK[part], TOLD[part, :words])
            assert torch.allclose(model.read(TOKENS[part], memory), together[part], atol=1e-4), row
            assert torch.allclose(own, concepts[part], atol=1e-5)
            padded = torch.cat([TOLD[part], torch.zeros(1, 40, dtype=torch.long)], dim=1)
            memory, _ = encode(model, views[part], MASK[part], padded)
            assert torch.allclose(model.read(TOKENS[part], memory), together[part], atol=1e-4), row


@every_architecture
def test_without_view_and_indication_it_still_writes(architecture: str) -> None:
    model = build(architecture)
    nothing = read(model, mask=torch.zeros_like(MASK), told=torch.zeros(3, 0, dtype=torch.long))
    assert bool(nothing.isfinite().all())
    model.train()
    model.zero_grad()
    memory = model.remember(maps_of(model) * 0, MASK & False, torch.zeros(3, 2), TOLD[:, :0])
    model.read(TOKENS, memory).sum().backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in model.memory.parameters() if parameter.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


SOURCES: dict[str, Callable[[ReportModel], Tensor]] = {  # switch -> logits after a change of what it switches
    "use_image": lambda model: read(model, maps=maps_of(model, seed=2)),
    "use_concepts": lambda model: read(model, evidence=torch.tensor([[-3.0, 3.0]]).expand(3, -1)),
    "use_indication": lambda model: read(model, told=TOLD.flip(0)),
    "use_both_views": lambda model: read(model, mask=torch.tensor([[True, False], [True, False], [False, True]])),
}


@every_architecture
@pytest.mark.parametrize("switch", SOURCES)
def test_a_source_that_is_switched_off_changes_nothing(architecture: str, switch: str) -> None:
    on, off = build(architecture), build(architecture, **{switch: False})
    assert not torch.allclose(read(on), SOURCES[switch](on), atol=1e-4)
    assert torch.equal(read(off), SOURCES[switch](off))


def test_with_one_view_the_lateral_is_not_judged_either() -> None:
    model = build(use_both_views=False)
    generator = torch.Generator().manual_seed(0)
    views = torch.randint(0, 255, (2, 2, 64, 64), dtype=torch.uint8, generator=generator)
    other = views.clone()
    other[:, 1] = 255 - other[:, 1]
    mask = BOTH[:2]
    with torch.inference_mode():
        model.head.absent.copy_(torch.randn(model.head.absent.shape, generator=generator))
        first, second = (encode(model, seen, mask, TOLD[:2])[1] for seen in (views, other))
        alone = encode(model, views, torch.tensor([[True, False]] * 2), TOLD[:2])[1]
        assert torch.equal(first, second)
        assert torch.allclose(first, alone, atol=1e-6)
        lateral = torch.tensor([[False, True]] * 2)
        first, second = (encode(model, seen, lateral, TOLD[:2])[1] for seen in (views, other))
        assert not torch.allclose(first, second)


@every_architecture
def test_a_saved_model_writes_what_it_wrote_in_half_precision(architecture: str, tmp_path: Path) -> None:
    tokenizer = build_tokenizer([report_tokens(SENTENCES, SENTENCES[:1])], 1)
    torch.manual_seed(0)
    model = ReportModel(architecture, replace(SHAPE, vocabulary=tokenizer.get_vocab_size())).eval()
    manifest = replace(tiny_manifest(), architecture=architecture)
    save_checkpoint(tmp_path, manifest=manifest, model=model, tokenizer=tokenizer, card="")
    back = load_checkpoint(tmp_path)
    assert back.model.architecture == architecture
    assert back.manifest.concepts == CONCEPTS
    assert all(value.dtype is torch.float32 for value in back.model.parameters())
    assert torch.allclose(read(back.model), read(model), atol=0.05)
    for name, value in model.state_dict().items():
        assert torch.equal(
            back.model.state_dict()[name], value.half().float() if value.is_floating_point() else value
        )
