"""Whether a model may become champion: the written criteria, and a line for each."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.promotion import SHIPPED, Criteria, Figures, Line, figures_of, read_criteria
from pipeline.verdicts import judge

CHAMPION = Figures(
    title="m@1",
    values={
        "CIDEr": 0.40,
        "macro F1 problems": 0.30,
        "AUROC abnormal": 0.85,
        "distinct texts": 90,
        "studies": 296,
    },
    intervals={"CIDEr": (0.35, 0.46)},
    labels={
        "Cardiomegaly": {"cases": 40, "precision": 0.5, "recall": 0.60, "f1": 0.5},
        "Opacity": {"cases": 25, "precision": 0.5, "recall": 0.30, "f1": 0.4},
        "Scoliosis": {"cases": 3, "precision": 0.5, "recall": 1.0, "f1": 0.6},
    },
)


def candidate(*, recall: float = 0.60, **values: float) -> Figures:
    """The champion's figures but for these; the recall is Cardiomegaly's."""
    named = {name.replace("_", " "): value for name, value in values.items()}
    labels = {
        **CHAMPION.labels,
        "Cardiomegaly": {"cases": 40, "recall": recall},
        "Scoliosis": {"cases": 3, "recall": 0},
    }
    return Figures(title="m@2", values={**CHAMPION.values, **named}, labels=labels)


def missed(lines: tuple[Line, ...]) -> list[str]:
    return [line.criterion for line in lines if line.passed is False]


@pytest.fixture(scope="module")
def shipped() -> Criteria:
    return read_criteria()


def write(folder: Path, text: str) -> Criteria:
    file = folder / "criteria.toml"
    file.write_text(text, encoding="utf-8")
    return read_criteria(file)


def test_the_shipped_criteria_pass_an_equal_model_and_say_so_line_by_line(shipped: Criteria) -> None:
    verdict = judge(candidate(), CHAMPION, shipped)
    assert verdict.passed
    assert [line.criterion for line in verdict.lines] == [
        "judged on as many studies as the champion",
        "CIDEr at least the champion's lower bound",
        "macro F1 problems at least the champion's",
        "AUROC abnormal at least the champion's less 0.01",
        "recall of each label with 20 cases or more at least the champion's less 0.05",
        "distinct texts above 40",
    ]
    assert verdict.lines[1].told == "met     CIDEr at least the champion's lower bound: 0.4 against 0.35"
    assert SHIPPED.name == "promotion.toml"


@pytest.mark.parametrize(
    ("worse", "line"),
    [
        ({"CIDEr": 0.349}, "CIDEr at least the champion's lower bound"),
        ({"macro_F1_problems": 0.29}, "macro F1 problems at least the champion's"),
        ({"AUROC_abnormal": 0.839}, "AUROC abnormal at least the champion's less 0.01"),
        ({"distinct_texts": 40}, "distinct texts above 40"),
        ({"recall": 0.54}, "recall of each label with 20 cases or more at least the champion's less 0.05"),
        ({"studies": 120}, "judged on as many studies as the champion"),
    ],
)
def test_each_criterion_alone_refuses(shipped: Criteria, worse: dict[str, float], line: str) -> None:
    verdict = judge(candidate(**worse), CHAMPION, shipped)
    assert not verdict.passed
    assert missed(verdict.lines) == [line]


@pytest.mark.parametrize("held", [{"CIDEr": 0.35}, {"AUROC_abnormal": 0.84}, {"recall": 0.55}])
def test_what_is_just_enough_is_enough(shipped: Criteria, held: dict[str, float]) -> None:
    assert judge(candidate(**held), CHAMPION, shipped).passed


def test_the_line_of_labels_names_those_that_miss_it(shipped: Criteria) -> None:
    (line,) = [
        item for item in judge(candidate(recall=0.5), CHAMPION, shipped).lines if "recall" in item.criterion
    ]
    assert (line.figure, line.note) == (0.5, "Cardiomegaly 0.50 against 0.55")


def test_a_champion_without_interval_is_held_to_its_figure_and_the_line_says_so(shipped: Criteria) -> None:
    bare = Figures(title="m@1", values=CHAMPION.values, labels=CHAMPION.labels)
    line = judge(candidate(CIDEr=0.38), bare, shipped).lines[1]
    assert (line.limit, line.passed) == (0.40, False)
    assert line.note == "the champion has no interval: held to its figure itself"


def test_what_the_champion_was_never_judged_by_cannot_be_met(shipped: Criteria) -> None:
    values = {name: value for name, value in CHAMPION.values.items() if name != "CIDEr"}
    old = Figures(title="m@1", values=values)
    verdict = judge(candidate(), old, shipped)
    assert not verdict.passed
    notes = [line.note for line in verdict.lines if line.passed is False]
    assert notes == [
        "the champion m@1 has no such figure: judge it again",
        "the champion m@1 has no figures for each label: judge it again",
    ]


def test_what_the_candidate_lacks_or_overflowed_in_is_not_met(shipped: Criteria) -> None:
    assert not judge(candidate(CIDEr=float("nan")), CHAMPION, shipped).passed
    assert not judge(Figures(title="m@2", values=candidate().values), CHAMPION, shipped).passed


def test_without_a_champion_only_numbers_are_asked_for(shipped: Criteria) -> None:
    verdict = judge(candidate(), None, shipped)
    assert verdict.passed
    assert [line.passed for line in verdict.lines] == [None, None, None, None, True]
    assert not judge(candidate(distinct_texts=3), None, shipped).passed


def test_criteria_that_nothing_could_be_held_against_promote_nobody(tmp_path: Path) -> None:
    only = write(tmp_path, '[[criterion]]\nfigure = "CIDEr"\nat_least = "champion"\n')
    assert not judge(candidate(), None, only).passed


def test_a_figure_may_have_to_be_small(tmp_path: Path) -> None:
    studies = '[[criterion]]\nfigure = "studies"\nat_most = "champion"\ntolerance = 4\n'
    limits = write(tmp_path, studies + '[[criterion]]\nfigure = "CIDEr"\nbelow = 1\n')
    assert judge(candidate(), CHAMPION, limits).lines[1].limit == 300
    assert judge(candidate(), CHAMPION, limits).passed


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = """
    spilt = "val"
    [[criterion]]
    figure = "CIDEr"
    at_leest = 3
    [[criterion]]
    each_label = "sensitivity"
    at_least = "the best"
    tolerance = -1
    [[criterion]]
    figure = "BLEU-4"
    above = 1
    below = 2
    cases = 3
    """
    with pytest.raises(UsageError) as told:
        write(tmp_path, text)
    for part in (
        "unknown key 'spilt' (did you mean 'split'?)",
        "criterion 1: unknown key 'at_leest' (did you mean 'at_least'?)",
        "criterion 1: give one of at_least, above, at_most, below",
        "criterion 2: each_label is 'sensitivity', not one of precision, recall, f1",
        "criterion 2: at_least is 'the best', neither a number nor one of 'champion'",
        "criterion 2: tolerance is -1, not a number from 0",
        "criterion 3: give one of",
        "criterion 3: cases is for each_label",
    ):
        assert part in str(told.value)


def test_figures_that_no_model_has_are_all_named(tmp_path: Path) -> None:
    text = "".join(f'[[criterion]]\nfigure = "{name}"\nabove = 0\n' for name in ("CIDer", "BLEU-5"))
    with pytest.raises(UsageError, match=r"'CIDer' \(did you mean 'CIDEr'\?\), 'BLEU-5'"):
        judge(candidate(), CHAMPION, write(tmp_path, text))


@pytest.mark.parametrize("text", ["split = ", "", 'criterion = "no"'])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"criteria.toml' (cannot be read|are wrong)"):
        write(tmp_path, text)


def test_figures_are_taken_from_a_manifest_as_evaluation_writes_them() -> None:
    metrics = {
        "val": {"model": {"CIDEr": 0.4, "studies": 296}, "intervals": {"CIDEr": [0.3, 0.5]}, "constant": {}}
    }
    found = figures_of(metrics, "val", title="m@1")
    assert found == Figures(title="m@1", values={"CIDEr": 0.4, "studies": 296.0}, intervals={"CIDEr": [0.3, 0.5]})
    with pytest.raises(UsageError, match="m@1 has no figures on the split 'val'; `nightread-train card`"):
        judge(figures_of(metrics, "dev", title="m@1"), None, read_criteria())
