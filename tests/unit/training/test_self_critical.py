"""Learning from rewards: what scores better than its siblings becomes likelier, each section for itself."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from pipeline.decoding import State, Tokens
from pipeline.manifest import DecodingSettings
from pipeline.models.encoder import EncoderConfig
from pipeline.models.memory import Memory
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import Shape
from training.captions import CaptionTask, Written, WrittenLessons, writing_parameters
from training.config import ReportConfig, RewardConfig
from training.features import Activations
from training.self_critical import SelfCriticalTask

IDS = Tokens(pad=0, bos=1, eos=2, unk=3, findings=4, impression=5, stop=6)
GOOD, BAD = 7, 8
HOW = DecodingSettings(
    beams=1, max_findings=3, max_impression=3, length_penalty=1.0, block_trigrams=False, evidence={}
)


def task(*, findings: float, impression: float) -> SelfCriticalTask:
    """A vocabulary of two words; each section is rewarded for the share of good ones."""
    torch.manual_seed(0)
    shape = Shape(
        vocabulary=9, concepts=1, encoder=EncoderConfig(backbone="squeezenet1_1"), grid=1, width=8, hidden=12
    )
    model = ReportModel("attention", shape)
    maps = Activations(
        values=torch.zeros(0, model.encoder.channels, 1, 1).half(),
        rows=torch.full((4, 2), -1),
        copies=torch.ones(4, dtype=torch.long),
    )
    tokens = [[1, 4, 7, 6, 5, 8, 6, 2]] * 4
    lessons = WrittenLessons(
        concepts=torch.ones(4, 1, dtype=torch.bool), apart=torch.ones(1), tokens=tokens, indications=[[]] * 4
    )
    written = Written(
        ids=list("abcd"),
        maps=maps,
        device=torch.device("cpu"),
        lessons=lessons,
        lengths=[8] * 4,
        normal=torch.zeros(4, dtype=torch.bool),
    )

    def reward(weight: float, ids: Sequence[int]) -> float:
        return weight * sum(token == GOOD for token in ids) / max(1, len(ids))

    return SelfCriticalTask(
        captions=CaptionTask(model=model, data=written, config=ReportConfig(), judged=dict),
        config=RewardConfig(drafts=8, cross_entropy=0.0),
        tokens=IDS,
        decoding=HOW,
        scores=(lambda ids, _: reward(findings, ids), lambda ids, _: reward(impression, ids)),
    )


def first_words(model: ReportModel, written: int) -> tuple[float, float]:
    """How likely the good word is, against the bad one, at the beginning of each section."""
    model.eval()
    with torch.inference_mode():
        nothing = torch.zeros(1, 0, dtype=torch.long)
        maps = torch.zeros(1, 2, model.encoder.channels, 1, 1)
        memory = model.remember(maps, torch.zeros(1, 2, dtype=torch.bool), torch.zeros(1, 1), nothing)
        logits = model.read(torch.tensor([[1, 4, written, 6, 5]]), memory)[0]
    return tuple(float(logits[place, [GOOD, BAD]].softmax(0)[0]) for place in (1, 4))  # type: ignore[return-value]


@pytest.mark.parametrize("worth", [1.0, -1.0])
def test_the_rewarded_word_becomes_likelier(worth: float) -> None:
    learner = task(findings=worth, impression=worth)
    liked = GOOD if worth > 0 else BAD
    before = first_words(learner.model, liked)
    optimiser = torch.optim.Adam(writing_parameters(learner.model), lr=0.03)
    for update in range(6):
        learner.model.train()
        optimiser.zero_grad()
        learner.loss([0, 1, 2, 3], torch.Generator().manual_seed(update)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    for now, then in zip(first_words(learner.model, liked), before, strict=True):
        assert (now - then) * worth > 0.1


@pytest.mark.parametrize("rewarded", ["findings", "impression"])
def test_a_section_learns_from_its_own_reward_alone(rewarded: str) -> None:
    learner = task(**{"findings": 0.0, "impression": 0.0, rewarded: 1.0})
    seen: list[tuple[Tensor, Tensor]] = []

    class Watched(ReportModel):
        def read(self, tokens: Tensor, memory: Memory) -> Tensor:
            logits = super().read(tokens, memory)
            logits.retain_grad()
            seen.append((tokens, logits))
            return logits

    learner.model.__class__ = Watched
    learner.loss([0, 1], torch.Generator().manual_seed(0)).backward()  # type: ignore[no-untyped-call]
    ((tokens, logits),) = seen
    assert logits.grad is not None
    learnt = logits.grad.abs().sum(-1)
    second = (tokens == IDS.impression).cumsum(1) > 0  # what follows the mark is the impression's
    own, other = (second, ~second) if rewarded == "impression" else (~second, second)
    assert float(learnt[own].max()) > 0
    assert float(learnt[other].max()) == 0
    assert float(learnt[tokens == IDS.pad].sum()) == 0


def test_drafts_that_are_worth_the_same_teach_nothing() -> None:
    learner = task(findings=0.0, impression=0.0)
    loss = learner.loss([0, 1], torch.Generator().manual_seed(0))
    assert float(loss.detach()) == 0.0


def test_cross_entropy_is_added_as_told() -> None:
    learner = task(findings=0.0, impression=0.0)
    part = SelfCriticalTask(
        captions=learner.captions,
        config=RewardConfig(drafts=2, cross_entropy=0.5),
        tokens=IDS,
        decoding=HOW,
        scores=learner.scores,
    )
    loss = float(part.loss([0, 1], torch.Generator().manual_seed(0)).detach())
    assert loss > 0.3, "half of a cross entropy over nine words"


def test_dropout_rests_while_it_drafts_and_recurrent_layers_can_learn() -> None:
    """On a GPU a recurrent layer in evaluation mode has no gradient."""
    learner, modes = task(findings=1.0, impression=1.0), []

    class Watched(ReportModel):
        def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
            kinds = (nn.Dropout, nn.GRU)
            modes.append({type(m).__name__: m.training for m in self.modules() if isinstance(m, kinds)})
            return super().step(tokens, state, memory)

    learner.model.__class__ = Watched
    learner.loss([0], torch.Generator().manual_seed(0))
    assert modes[0] == {"Dropout": False, "GRU": True}
    assert learner.model.training
