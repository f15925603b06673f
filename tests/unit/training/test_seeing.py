"""Members that learnt alone, joined into one encoder and one head."""

import pytest
import torch

from pipeline.models.concepts import ConceptHead
from pipeline.models.encoder import EncoderConfig, ViewEncoder
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import VIEWS, Shape
from training.concepts import Seer
from training.seeing import join_members, take_over

CONCEPTS = 3
VIEWED = torch.randint(0, 255, (4, VIEWS, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[True, True], [True, False], [False, True], [True, True]])


def seer(seed: int) -> Seer:
    torch.manual_seed(seed)
    encoder = ViewEncoder(EncoderConfig(backbone="squeezenet1_1"))
    head, words = (ConceptHead(encoder.channels, count, VIEWS, 0.0) for count in (CONCEPTS, 2))
    torch.nn.init.normal_(head.absent)
    for parameter in head.weights.parameters():
        torch.nn.init.normal_(parameter, std=0.1 * (seed + 1))
    return Seer(encoder, head, words, 0).eval()


def joint_model(members: int) -> ReportModel:
    config = EncoderConfig(backbone="squeezenet1_1", members=members)
    shape = Shape(vocabulary=9, concepts=CONCEPTS, encoder=config, width=8, hidden=8)
    return ReportModel("encoder-decoder", shape).eval()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_joined_members_say_the_sum_of_what_each_says_in_units_of_its_spread(count: int) -> None:
    members = [seer(seed) for seed in range(count)]
    model = joint_model(count)
    with torch.inference_mode():
        said = [member.head(member.encoder(VIEWED, MASK), MASK) for member in members]
    spread = [torch.ones(CONCEPTS) if count == 1 else logits.std(0) for logits in said]
    join_members(model, list(zip(members, said, strict=True)))
    with torch.inference_mode():
        joint = model.judge(model.see(VIEWED, MASK), MASK)
    expected = sum((logits / unit for logits, unit in zip(said, spread, strict=True)), torch.zeros(4, CONCEPTS))
    assert torch.allclose(joint, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("count", [1, 2])
def test_a_member_begins_where_that_of_the_checkpoint_was(count: int) -> None:
    members = [seer(seed) for seed in range(count)]
    model = joint_model(count)
    join_members(model, [(member, torch.randn(4, CONCEPTS)) for member in members])
    for number, member in enumerate(members):
        later = seer(seed=9)
        take_over(later, model, number)
        with torch.inference_mode():
            maps, seen = later.encoder(VIEWED, MASK), member.encoder(VIEWED, MASK)
            assert torch.equal(maps, seen)
            assert torch.equal(later.head(maps, MASK), member.head(seen, MASK)) == (count == 1)
