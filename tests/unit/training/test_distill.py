import math

import pytest
import torch

from pipeline.study import Outcome, Report, Reported, Skipped
from training.distill import (
    blend,
    drafted_tokens,
    draw_targets,
    soft_concept_loss,
    soft_word_loss,
)


def test_a_student_that_says_the_same_has_nothing_to_learn() -> None:
    words = torch.randn(2, 3, 5)
    loss = soft_word_loss(words, words, torch.ones(2, 3), 2.0)
    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    concepts = torch.randn(2, 4)
    assert float(soft_concept_loss(concepts, concepts, 3.0)) == pytest.approx(0.0, abs=1e-6)


def test_the_distance_of_words_is_their_divergence() -> None:
    student = torch.log(torch.tensor([[[0.5, 0.5], [0.9, 0.1]]]))
    teacher = torch.log(torch.tensor([[[0.8, 0.2], [0.1, 0.9]]]))
    wanted = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    padded = torch.tensor([[7, 0]])
    assert float(soft_word_loss(student, teacher, padded, 1.0)) == pytest.approx(wanted, rel=1e-5)


def test_the_distance_of_concepts_is_their_divergence() -> None:
    student, teacher = torch.logit(torch.tensor([[0.5, 0.2]])), torch.logit(torch.tensor([[0.8, 0.2]]))
    wanted = (0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)) / 2
    assert float(soft_concept_loss(student, teacher, 1.0)) == pytest.approx(wanted, rel=1e-4)


def test_gradients_keep_their_size_as_the_temperature_rises() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(4, 6, 9) * 0.1
    sizes = []
    for temperature in (5.0, 50.0):
        student = torch.zeros(4, 6, 9, requires_grad=True)
        soft_word_loss(student, teacher, torch.ones(4, 6), temperature).backward()  # type: ignore[no-untyped-call]
        assert student.grad is not None
        sizes.append(float(student.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_only_the_student_learns() -> None:
    student, teacher = torch.zeros(2, 3, 5, requires_grad=True), torch.ones(2, 3, 5, requires_grad=True)
    heads = torch.zeros(2, 4, requires_grad=True), torch.ones(2, 4, requires_grad=True)
    loss = soft_word_loss(student, teacher * 2, torch.ones(2, 3), 2.0) + soft_concept_loss(*heads, 2.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None
    assert heads[1].grad is None
    assert heads[0].grad is not None
    assert float(heads[0].grad.max()) < 0, "towards the teacher, who is surer"


def test_a_student_comes_to_speak_as_its_teacher() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(2, 3, 5)
    student = torch.zeros(2, 3, 5, requires_grad=True)
    optimiser = torch.optim.SGD([student], lr=5.0)
    for _ in range(60):
        optimiser.zero_grad()
        soft_word_loss(student, teacher, torch.ones(2, 3), 1.0).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert torch.allclose(student.softmax(-1), teacher.softmax(-1), atol=0.02)


def test_losses_are_blended_by_share() -> None:
    assert float(blend(torch.tensor(2.0), torch.tensor(6.0), 0.25)) == 3.0


def test_drafts_become_targets_where_there_are_any() -> None:
    report = Report(findings="The lungs are clear. No effusion.", impression="No acute disease.", confidence=-0.1)
    empty = Report(findings="", impression="No acute disease.", confidence=-0.1)
    outcomes: list[Outcome] = [
        Reported(key=0, report=report),
        Skipped(key=1, reason="a hip"),
        Reported(key=2, report=empty),
    ]
    first, *others = drafted_tokens(outcomes)
    assert " ".join(first) == (
        "<bos> <findings> the lungs are clear . no effusion . <impression> no acute disease . <eos>"
    )
    assert others == [[], []]


def test_targets_are_drawn_from_both() -> None:
    written, drafted = [[1]] * 200, [[2]] * 150 + [[]] * 50
    drawn = draw_targets(written, drafted, 0.5, torch.Generator().manual_seed(0))
    assert 50 < sum(target == [2] for target in drawn) < 100
    assert all(target == [1] for target in drawn[150:])
    assert draw_targets(written, drafted, 0.0, torch.Generator()) == written
