"""Planning and believing: a memory learns what the teacher would choose and expect, without writing a word."""

from pathlib import Path

import torch

from pipeline.models.encoder import EncoderConfig
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import Shape
from tests.unit.training.test_consensus import CONCEPTS, teacher
from training.believing import BeliefTask
from training.captions import Written
from training.config import ReportConfig
from training.features import Activations
from training.loop import run
from training.planning import Planner, PlanTask
from training.task import LoopSettings
from training.teacher import Teacher


def pupil(adviser: Teacher, *, use_beliefs: bool = False) -> tuple[ReportModel, Written]:
    """A small model, and its teacher's lessons."""
    torch.manual_seed(0)
    studies = len(CONCEPTS)
    shape = Shape(
        vocabulary=adviser.tokenizer.get_vocab_size(),
        concepts=2,
        encoder=EncoderConfig(backbone="squeezenet1_1"),
        width=16,
        hidden=16,
        dropout=0.0,
        use_image=False,
        use_beliefs=use_beliefs,
    )
    model = ReportModel("encoder-decoder", shape)
    nothing = torch.full((studies, 2), -1)
    maps = Activations(values=torch.zeros(0, 1, 1, 1), rows=nothing, copies=torch.ones(studies, dtype=torch.long))
    data = Written(
        ids=[str(number) for number in range(studies)],
        maps=maps,
        device=model.device,
        lessons=adviser,
        lengths=[8] * studies,
        normal=torch.zeros(studies, dtype=torch.bool),
    )
    return model, data


def test_the_memory_learns_what_the_teacher_chooses(tmp_path: Path) -> None:
    adviser = teacher()
    model, data = pupil(adviser)
    planner = Planner(model, [len(section.candidates.texts) for section in adviser.sections])
    config = ReportConfig(plan_batch=4, plan_rate=0.02, indication_dropout=0.0)
    task = PlanTask(planner=planner, data=data, config=config)
    before = task.judge(0)["score"]
    decoder = {key: value.clone() for key, value in model.decoder.state_dict().items()}  # type: ignore[attr-defined]
    result = run(task, LoopSettings(epochs=40, judge_every=40), seed=0, folder=tmp_path, name="plan")
    assert before < 0.6
    assert result.best_score >= 0.85
    assert all(torch.equal(value, decoder[key]) for key, value in model.decoder.state_dict().items())  # type: ignore[attr-defined]


def test_beliefs_come_nearer_to_the_teachers_chances_and_nothing_else_moves(tmp_path: Path) -> None:
    adviser = teacher()
    model, data = pupil(adviser, use_beliefs=True)
    config = ReportConfig(plan_batch=4, indication_dropout=0.0)
    task = BeliefTask(model=model, data=data, places=adviser.archive.places, config=config)
    before = task.judge(0)["score"]
    resting = {key: value.clone() for key, value in model.state_dict().items() if not key.startswith("beliefs")}
    result = run(task, LoopSettings(epochs=40, judge_every=40), seed=0, folder=tmp_path, name="beliefs")
    assert before < -0.05  # the teacher weighs the indication, one concept's evidence does not
    assert result.best_score > before / 2
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in resting.items())


def test_untaught_beliefs_are_the_evidence_alone() -> None:
    model, _ = pupil(teacher(), use_beliefs=True)
    evidence = torch.tensor([[1.5, -2.0]])
    memory = model.remember(
        torch.zeros(1, 2, 1, 0, 0), torch.ones(1, 2).bool(), evidence, torch.zeros(1, 0).long()
    )
    assert torch.equal(model.expect(evidence, memory).sigmoid(), model.believe(evidence))
