"""The consensus: given what is seen and asked, the text that fits best, and never a study's own report."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipeline import text
from training.config import ConsensusConfig
from training.consensus import composed
from training.reward import Truthfulness
from training.teacher import Teacher, prepare_teacher

NAMES = ("Cardiomegaly", "Nodule")
HEART, NODULE = ("there is cardiomegaly", "the lungs are clear"), ("there is a nodule",)
NORMAL, ELSEWHERE = ("the heart is normal", "the lungs are clear"), ("normal heart and lungs",)
REPORTS = [NORMAL, NORMAL, NORMAL, NORMAL, HEART, HEART, NODULE, NODULE, ELSEWHERE, ELSEWHERE, ELSEWHERE]
CONCEPTS = [[0, 0]] * 4 + [[1, 0]] * 2 + [[0, 1]] * 2 + [[0, 0]] * 3
ASKED = [["cough"]] * 8 + [["surgery"]] * 3
HOW = ConsensusConfig(composed=3, rounds=2)
UNASKED: list[list[str]] = [[]]


def teacher(how: ConsensusConfig = HOW, reports: list[tuple[str, ...]] = REPORTS, least: int = 1) -> Teacher:
    coded = [{name for name, there in zip(NAMES, row, strict=True) if there} for row in CONCEPTS]
    cleaned = [text.clean_r2gen(". ".join(report) + ".") for report in reports]
    tokens = [text.report_tokens(report, report) for report in REPORTS]
    return prepare_teacher(
        concepts=torch.tensor(CONCEPTS),
        names=NAMES,
        apart=torch.full((2,), 2.5),
        truth=Truthfulness.of(coded, at_least=least, even=0.2),
        indications=ASKED,
        written=(reports, reports),
        references=(cleaned, cleaned),
        how=(how, how),
        tokenizer=text.build_tokenizer(tokens, 1, indications=ASKED),
        seed=0,
    )


def evidence(heart: float, nodule: float) -> Tensor:
    return torch.tensor([[heart, nodule]])


def test_with_sure_evidence_the_problem_is_named_and_without_it_is_not() -> None:
    adviser = teacher()
    said = {
        key: " ".join(adviser.choose(evidence(*key), UNASKED)[0][0])
        for key in ((6.0, -6.0), (-6.0, 6.0), (-6.0, -6.0))
    }
    assert "cardiomegaly" in said[6.0, -6.0]
    assert "nodule" not in said[6.0, -6.0]
    assert "nodule" in said[-6.0, 6.0]
    assert "cardiomegaly" not in said[-6.0, 6.0]
    assert not {"cardiomegaly", "nodule"} & set(said[-6.0, -6.0].split())


def test_an_equal_indication_pulls_its_departments_words() -> None:
    adviser = teacher()
    seen = evidence(-6.0, -6.0)
    assert adviser.choose(seen, [["cough"]])[0] == [NORMAL]
    assert adviser.choose(seen, [["surgery"]])[0] == [ELSEWHERE]
    deaf = teacher(replace(HOW, department=0.0))
    assert deaf.choose(seen, [["cough"]]) == deaf.choose(seen, [["surgery"]])


def test_a_study_never_sees_its_own_report() -> None:
    only = ("an odd heart of its own",)
    reports = [only, *REPORTS[1:]]
    adviser = teacher(reports=reports)
    for section in adviser.sections:
        row = torch.tensor([0])
        asked = adviser.archive.vectors.dense([["cough"]])
        weights = adviser.archive.weigh(evidence(-6, -6), asked, section.how, row)
        assert weights[0, 0] == 0
        assert float(weights.sum()) == pytest.approx(1.0)
    last = replace(adviser.archive, problems=torch.eye(len(REPORTS)))
    expected = replace(last, places=torch.zeros(len(REPORTS), dtype=torch.long)).expect(
        evidence(0, 0), asked, HOW, torch.tensor([2])
    )
    assert float(expected[0, 2]) < 1e-3 < float(expected[0, 1])


def test_a_lesson_is_drawn_anew_and_hides_what_it_shall_hide() -> None:
    adviser = teacher()
    index, hidden = [4, 6, 9], [False, True, False]
    first = adviser.lesson(index, hidden, torch.Generator().manual_seed(0))
    again = adviser.lesson(index, hidden, torch.Generator().manual_seed(0))
    other = adviser.lesson(index, hidden, torch.Generator().manual_seed(1))
    assert torch.equal(first.evidence, again.evidence)
    assert first.tokens == again.tokens
    assert not torch.equal(first.evidence, other.evidence)
    assert first.indications[1] == []
    bos, eos = adviser.tokenizer.token_to_id(text.BOS), adviser.tokenizer.token_to_id(text.EOS)
    assert all((row[0], row[-1]) == (bos, eos) for row in first.tokens)


def test_sentences_of_problems_are_added_to_what_is_popular() -> None:
    candidates = teacher(replace(HOW, truthfulness=5.0)).sections[0].candidates
    made = [text for text in candidates.texts if text not in REPORTS]
    assert any("there is a nodule" in text and "there is cardiomegaly" in text for text in made)
    assert all(text in REPORTS for text in teacher(replace(HOW, composed=0)).sections[0].candidates.texts)


def test_a_base_does_not_deny_the_sentence_that_is_added() -> None:
    truth = Truthfulness.of([{"Cardiomegaly"}, {"Nodule"}], at_least=1, even=0.2)
    bases = [("the heart is normal in size", "the lungs are clear")]
    made = composed(bases, [["there is cardiomegaly"], ["there is a nodule"]], torch.zeros(1, 2), truth)
    assert ("there is cardiomegaly", "the lungs are clear") in made
    assert ("the lungs are clear", "there is cardiomegaly") in made
    assert ("there is a nodule", "the heart is normal in size", "the lungs are clear") in made
    assert not any({"there is cardiomegaly", "the heart is normal in size"} <= set(text) for text in made)


def test_it_teaches_where_no_problem_has_enough_cases() -> None:
    assert teacher(least=99).choose(evidence(-6, -6), [["surgery"]])[0] == [ELSEWHERE]
