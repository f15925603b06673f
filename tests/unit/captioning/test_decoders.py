"""Decoders by themselves: no word is told by later ones; what planning and m-RNN add.

What every model promises is in `test_report_model`.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from pipeline.checkpoint import parse_shape
from pipeline.models.encoder import EncoderConfig
from pipeline.models.hierarchical import HierarchicalDecoder
from pipeline.models.memory import Memory
from pipeline.models.report_model import DECODERS, Decoder
from pipeline.models.shape import VIEWS, Shape

WORDS, STOP, FINDINGS, IMPRESSION = 20, 6, 4, 5
SHAPE = Shape(
    vocabulary=WORDS,
    concepts=2,
    encoder=EncoderConfig(backbone="squeezenet1_1"),
    grid=2,
    width=16,
    hidden=12,
    layers=2,
    heads=2,
    marks=(STOP, FINDINGS, IMPRESSION),
)
SLOTS = 1 + VIEWS * SHAPE.grid**2 + 3
TOKENS = torch.tensor([
    [1, FINDINGS, 7, 8, STOP, 9, STOP, IMPRESSION, 10, 11, STOP, 2],
    [1, FINDINGS, 7, 12, 13, 14, 8, 9, STOP, IMPRESSION, 15, STOP],
    [1, FINDINGS, STOP, STOP, 7, 12, IMPRESSION, 13, 14, 8, 9, 9],
])  # fmt: skip


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def decoder(name: str, shape: Shape = SHAPE) -> Decoder:
    return DECODERS[name](shape).eval()  # type: ignore[return-value]


def memory_of(writer: Decoder, rows: int = len(TOKENS)) -> Memory:
    mask = torch.rand(rows, SLOTS) < 0.8
    mask[:, 0] = True
    slots, whole = torch.randn(rows, SLOTS, SHAPE.width), torch.randn(rows, SHAPE.width)
    return writer.prepare({"slots": slots, "mask": mask, "whole": whole})


def in_parts(writer: Decoder, memory: Memory, lengths: list[int]) -> Tensor:
    state, parts = writer.begin(memory), []
    for tokens in torch.split(TOKENS, lengths, dim=1):
        logits, state = writer(tokens, state, memory)
        parts.append(logits)
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("multimodal", [False, True])
def test_words_in_parts_are_written_as_all_at_once(name: str, multimodal: bool) -> None:
    writer = decoder(name, replace(SHAPE, use_multimodal=multimodal))
    memory = memory_of(writer)
    whole = in_parts(writer, memory, [12])
    for lengths in ([3, 1, 5, 3], [7, 5]):
        assert torch.allclose(in_parts(writer, memory, lengths), whole, atol=1e-5)


@pytest.mark.parametrize("name", DECODERS)
def test_no_word_is_told_by_those_that_follow(name: str) -> None:
    writer = decoder(name)
    memory, other = memory_of(writer), TOKENS.clone()
    other[:, 7:] = torch.randint(4, WORDS, other[:, 7:].shape)
    logits, _ = writer(TOKENS, writer.begin(memory), memory)
    changed, _ = writer(other, writer.begin(memory), memory)
    assert torch.allclose(logits[:, :7], changed[:, :7], atol=1e-5)
    assert not torch.allclose(logits[:, 7:], changed[:, 7:], atol=1e-3)


def test_a_sentence_is_written_from_its_topic_alone() -> None:
    """The words of earlier sentences reach it only through the plan."""
    writer = decoder("hierarchical")
    memory = memory_of(writer)
    _, state = writer(TOKENS[:, :5], writer.begin(memory), memory)  # row 0 has just closed a sentence
    other = {**state, "read": torch.randn_like(state["read"])}
    logits, _ = writer(
        TOKENS[:1, 5:6], {k: v[:1] for k, v in state.items()}, {k: v[:1] for k, v in memory.items()}
    )
    same, _ = writer(TOKENS[:1, 5:6], {k: v[:1] for k, v in other.items()}, {k: v[:1] for k, v in memory.items()})
    assert torch.equal(logits, same), "within a sentence the writer does not ask what was read"
    stop = torch.tensor([[STOP]])
    logits, _ = writer(stop, {k: v[:1] for k, v in state.items()}, {k: v[:1] for k, v in memory.items()})
    told, _ = writer(stop, {k: v[:1] for k, v in other.items()}, {k: v[:1] for k, v in memory.items()})
    assert not torch.allclose(logits, told, atol=1e-4), "the next topic depends on it"


def test_a_topic_is_made_at_marks_and_kept_between_them() -> None:
    writer = decoder("hierarchical")
    memory = memory_of(writer)
    state, topics = writer.begin(memory), []
    for token in TOKENS[0]:
        _, state = writer(token.expand(len(TOKENS), 1), state, memory)
        topics.append(state["topic"][0])
    new = [not torch.equal(one, other) for one, other in pairwise(topics)]
    assert new == [token in SHAPE.marks for token in TOKENS[0, 1:].tolist()]


def test_a_topic_looks_at_what_is_there() -> None:
    writer = decoder("hierarchical")
    memory = memory_of(writer)
    hidden = ~memory["mask"][..., None]
    other = writer.prepare({**memory, "slots": torch.where(hidden, 9.0, memory["slots"])})
    logits, _ = writer(TOKENS, writer.begin(memory), memory)
    same, _ = writer(TOKENS, writer.begin(other), other)
    assert torch.allclose(logits, same, atol=1e-5), "hidden slots are not seen"
    other = writer.prepare({**memory, "slots": torch.where(hidden, memory["slots"], 9.0)})
    changed, _ = writer(TOKENS, writer.begin(other), other)
    assert not torch.allclose(logits, changed, atol=1e-3)


def test_a_planner_learns_what_its_memory_says() -> None:
    """Two memories, two reports of the same first sentence: the second is told by the topic alone."""
    with torch.inference_mode(mode=False):
        model = HierarchicalDecoder(replace(SHAPE, dropout=0.0))
        slots = torch.randn(2, SLOTS, SHAPE.width)
        bare = {
            "slots": slots,
            "mask": torch.ones(2, SLOTS, dtype=torch.bool),
            "whole": torch.zeros(2, SHAPE.width),
        }
        report = [1, FINDINGS, 7, 8, STOP]
        tokens = torch.tensor([[*report, 9, 10, STOP, 2], [*report, 11, 12, STOP, 2]])
        optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
        for _ in range(25):
            memory = model.prepare(bare)
            logits, _ = model(tokens[:, :-1], model.begin(memory), memory)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    assert torch.equal(logits.argmax(-1), tokens[:, 1:])


def test_words_state_and_image_meet_before_each_word() -> None:
    writer = decoder("encoder-decoder", replace(SHAPE, use_multimodal=True))
    plain = decoder("encoder-decoder")
    for one, told in ((writer, True), (plain, False)):
        memory = memory_of(one)
        state = one.begin(memory)
        torch.nn.init.zeros_(one.write.weight_ih_l0)  # type: ignore[attr-defined] # the recurrent layer sees nothing
        first, _ = one(TOKENS[:, :1], state, memory)
        other, _ = one(TOKENS[:, :1] + 9, state, memory)
        assert torch.allclose(first, other, atol=1e-6) is not told
        whole, _ = one(TOKENS[:, :1], state, {"whole": memory["whole"] + 1})
        assert torch.allclose(first, whole, atol=1e-6) is not told


def test_a_shape_survives_its_manifest() -> None:
    config = {"vocabulary": 9, "concepts": 1, "encoder": {"backbone": "resnet18"}, "marks": [4, 5]}
    assert parse_shape(config).marks == (4, 5)
    with pytest.raises(TypeError, match="use_magic"):
        parse_shape({**config, "use_magic": False})
