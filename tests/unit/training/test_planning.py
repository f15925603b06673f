"""Planning: the memory learns which candidate the teacher would choose, without writing a word."""

from pathlib import Path

import torch

from pipeline.models.encoder import EncoderConfig
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import Shape
from tests.unit.training.test_consensus import ASKED, CONCEPTS, teacher
from training.captions import Written
from training.config import ReportConfig
from training.features import Activations
from training.loop import run
from training.planning import Planner, PlanTask
from training.task import LoopSettings


def test_the_memory_learns_what_the_teacher_chooses(tmp_path: Path) -> None:
    torch.manual_seed(0)
    adviser, studies = teacher(), len(CONCEPTS)
    shape = Shape(
        vocabulary=adviser.tokenizer.get_vocab_size(),
        concepts=2,
        encoder=EncoderConfig(backbone="squeezenet1_1"),
        width=16,
        hidden=16,
        dropout=0.0,
        use_image=False,
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
    planner = Planner(model, [len(section.candidates.texts) for section in adviser.sections])
    config = ReportConfig(plan_batch=4, plan_rate=0.02, indication_dropout=0.0)
    task = PlanTask(planner=planner, data=data, config=config)
    before = task.judge(0)["score"]
    decoder = {key: value.clone() for key, value in model.decoder.state_dict().items()}  # type: ignore[attr-defined]
    result = run(task, LoopSettings(epochs=40, judge_every=40), seed=0, folder=tmp_path, name="plan")
    assert len(ASKED) == studies
    assert before < 0.6
    assert result.best_score >= 0.85
    assert all(torch.equal(value, decoder[key]) for key, value in model.decoder.state_dict().items())  # type: ignore[attr-defined]
