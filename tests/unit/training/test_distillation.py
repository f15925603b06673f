"""A student of another architecture, with fewer concepts in another order, comes to speak as its teacher."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from pipeline.checkpoint import Checkpoint, special_tokens
from pipeline.errors import UsageError
from pipeline.models.encoder import EncoderConfig
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import Shape
from pipeline.study import Pixels, Preprocessing
from pipeline.text import build_tokenizer, encode, report_tokens
from tests.checkpoints import MANIFEST
from training import mentor as mentors
from training.captions import CaptionTask, Written, WrittenLessons, draw_told
from training.concepts import ConceptTask, Labelled
from training.config import ConceptConfig, DistillationConfig, ReportConfig
from training.distill import soft_word_loss
from training.distilled import DistilledCaptionTask, DistilledConceptTask, DraftedLessons, teacher_key
from training.features import Activations
from training.mentor import Mentor, load_mentor

REPORTS = (["the heart is large", "no effusion"], ["the lungs are clear"], ["an effusion"], ["the heart is large"])
TOKENIZER = build_tokenizer([report_tokens(report, report) for report in REPORTS], 1)
SHAPE = Shape(
    vocabulary=TOKENIZER.get_vocab_size(), concepts=3, encoder=EncoderConfig(backbone="squeezenet1_1"), grid=2,
    width=16, hidden=12, dropout=0.0, heads=2, layers=1,
)  # fmt: skip
THERE, HERE = ("Opacity", "abnormal", "Nodule"), ("abnormal", "Opacity")
CONFIG = ReportConfig(epochs=12, batch_size=4, view_dropout=0.0, image_dropout=0.3, label_smoothing=0.0)


@pytest.fixture(scope="module")
def teacher() -> Checkpoint:
    torch.manual_seed(1)
    model = ReportModel("attention", SHAPE).eval()
    manifest = replace(MANIFEST, concepts=THERE, sha256={"model.safetensors": "aa"})
    return Checkpoint(manifest=manifest, model=model, tokenizer=TOKENIZER, ids=special_tokens(TOKENIZER))


@pytest.fixture
def mentor(teacher: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mentor:
    monkeypatch.setattr(mentors, "load_checkpoint", lambda _: teacher)
    return load_mentor(str(tmp_path), HERE, MANIFEST.preprocessing, torch.device("cpu"))


def view(number: int) -> Pixels:
    pixels: Pixels = np.random.default_rng(number).integers(0, 255, (32, 32)).astype(np.uint8)
    return pixels


VIEWS: list[tuple[Callable[[], Pixels] | None, Callable[[], Pixels] | None]] = [
    (partial(view, number), partial(view, 50 + number) if number else None) for number in range(4)
]


def plain_task() -> CaptionTask:
    torch.manual_seed(0)
    student = ReportModel("encoder-decoder", replace(SHAPE, concepts=2, use_image=False))
    tokens = [encode(TOKENIZER, report_tokens(report, report)) for report in REPORTS]
    lessons = WrittenLessons(
        concepts=torch.tensor([[1, 0], [0, 0], [1, 1], [1, 0]]).bool(),
        apart=torch.ones(2),
        tokens=tokens,
        indications=[[8], [], [9], []],
    )
    maps = Activations(
        values=torch.zeros(0, 512, 2, 2), rows=torch.full((4, 2), -1), copies=torch.ones(4, dtype=torch.long)
    )
    data = Written(
        ids=["a", "b", "c", "d"], maps=maps, device=torch.device("cpu"), lessons=lessons,
        lengths=[len(row) for row in tokens], normal=torch.zeros(4).bool(),
    )  # fmt: skip
    return CaptionTask(model=student, data=data, config=CONFIG, judged=lambda: {"score": 0.0})


def distance(task: DistilledCaptionTask) -> float:
    """The student's divergence from its teacher, over all words."""
    task.plain.model.eval()
    with torch.no_grad():
        told = draw_told(task.plain.data, range(4), CONFIG, Generator().manual_seed(7))
        said = task.plain.model.read(told.tokens[:, :-1], told.memory(task.plain.model))
        return float(soft_word_loss(said, task.mentor.read(told, task.seen, range(4)), told.tokens[:, 1:], 1.0))


def test_a_student_comes_nearer_to_its_teacher(mentor: Mentor) -> None:
    weights = {key: value.clone() for key, value in mentor.model.state_dict().items()}
    distances = {}
    for share in (0.9, 0.0):
        config = DistillationConfig(teacher="x", words=share)
        task = DistilledCaptionTask(plain=plain_task(), mentor=mentor, seen=mentor.look(VIEWS), config=config)
        before = distance(task)
        optimiser = torch.optim.Adam(task.groups()[0]["params"], lr=0.02)
        for number in range(12):
            task.module.train()
            optimiser.zero_grad()
            task.loss(range(4), Generator().manual_seed(number)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        distances[share] = distance(task) / before
    assert distances[0.9] < 0.5
    assert distances[0.0] > 2 * distances[0.9], "labels alone lead elsewhere"
    assert all(torch.equal(value, weights[key]) for key, value in mentor.model.state_dict().items())


def test_without_a_share_the_loss_is_the_plain_one(mentor: Mentor) -> None:
    plain = plain_task()
    config = DistillationConfig(teacher="x", words=0.0)
    task = DistilledCaptionTask(plain=plain, mentor=mentor, seen=mentor.look(VIEWS), config=config)
    losses = []
    for one in (plain, task):
        plain.model.eval()
        losses.append(one.loss([0, 2], Generator().manual_seed(3)).item())
    assert losses[0] == losses[1]
    assert task.groups() == plain.groups()
    assert task.epoch(0, Generator().manual_seed(1)) == plain.epoch(0, Generator().manual_seed(1))


def test_a_teacher_is_told_what_its_student_is_told_and_sees_more(mentor: Mentor) -> None:
    assert (mentor.there.tolist(), mentor.here.tolist()) == ([0, 1], [1, 0])
    seen, data = mentor.look(VIEWS), plain_task().data
    told = draw_told(data, [0, 2], CONFIG, Generator().manual_seed(0))
    said = mentor.read(told, seen, [0, 2])
    assert not said.requires_grad
    assert not told.mask.any(), "the student sees nothing"
    present, mask = seen.batch([0, 2], generator=None)
    assert mask.tolist() == [[True, False], [True, True]]
    evidence = torch.cat([told.evidence[:, [1, 0]], torch.zeros(2, 1)], dim=1)
    maps = torch.zeros(2, 2, *present.shape[1:])
    maps[mask] = present
    memory = mentor.model.remember(maps, mask, evidence, told.indications)
    assert torch.equal(said, mentor.model.read(told.tokens[:, :-1], memory))
    other = replace(told, evidence=told.evidence + 1)
    assert not torch.allclose(mentor.read(other, seen, [0, 2]), said)


def test_a_teacher_judges_the_clean_views(mentor: Mentor) -> None:
    logits = mentor.judge(VIEWS)
    pixels = torch.from_numpy(np.stack([view(2), view(52)]))[None]
    mask = torch.ones(1, 2, dtype=torch.bool)
    with torch.no_grad():
        own = mentor.model.judge(mentor.model.see(pixels, mask), mask)
    assert torch.allclose(logits[2], own[0, mentor.there], atol=1e-2)


class Echo(torch.nn.Module):
    """Stands for a seer: says what it learnt, whatever it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.said = torch.nn.Parameter(torch.zeros(4, 2))

    def forward(self, present: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of concepts and of words."""
        return self.said[: len(mask)] + 0 * present.sum(), self.said[: len(mask), :1] * 0


def test_concepts_are_taught_by_name(mentor: Mentor) -> None:
    nothing = torch.zeros(4, 2)
    activations = Activations(
        values=torch.zeros(4, 1, 1, 1), rows=torch.tensor([[n, -1] for n in range(4)]), copies=torch.ones(4)
    )
    labelled = Labelled(
        ids=list("abcd"), activations=activations, targets=nothing, known=nothing, words=nothing[:, :1],
        written=nothing[:, :1],
    )  # fmt: skip
    seer = Echo()
    plain = ConceptTask(
        seer=seer,  # type: ignore[arg-type]
        train=labelled, choice=labelled, names=HERE, config=ConceptConfig(view_dropout=0.0),
    )  # fmt: skip
    taught = torch.tensor([[3.0, -2.0]]).expand(4, 2)  # of Opacity, then of abnormal
    config = DistillationConfig(teacher="x", concepts=1.0, temperature=1.0)
    task = DistilledConceptTask(plain=plain, mentor=mentor, taught=taught, config=config)
    optimiser = torch.optim.Adam(seer.parameters(), lr=0.3)
    for _ in range(60):
        optimiser.zero_grad()
        task.loss(range(4), Generator().manual_seed(0)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert torch.allclose(seer.said.detach(), torch.tensor([-2.0, 3.0]).expand(4, 2), atol=0.2)


def test_drafts_stand_for_reports_where_there_are_any() -> None:
    lessons = plain_task().data.lessons
    drafted = DraftedLessons(plain=lessons, drafts=[[1, 2], [], [3], [4]], share=1.0)
    lesson = drafted.lesson([0, 1, 2], [False] * 3, Generator().manual_seed(0))
    own = lessons.lesson([0, 1, 2], [False] * 3, Generator().manual_seed(0))
    assert lesson.tokens == [[1, 2], own.tokens[1], [3]]
    assert torch.equal(lesson.evidence, own.evidence)


def test_a_teacher_that_does_not_fit_is_refused(mentor: Mentor, tmp_path: Path) -> None:
    device = torch.device("cpu")
    with pytest.raises(UsageError, match=r"looks at views made by .* make them the same, or name another"):
        load_mentor(str(tmp_path), HERE, Preprocessing(height=9, width=9, fit="squash"), device)
    with pytest.raises(UsageError, match="teacher paper 1 knows none of the student's concepts"):
        load_mentor(str(tmp_path), ("Hernia",), MANIFEST.preprocessing, device)
    assert teacher_key(None, DistillationConfig()) == ()
    assert teacher_key(mentor, DistillationConfig())[1] == "aa"
