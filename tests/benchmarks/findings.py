"""How well findings are read from text: `python -m tests.benchmarks.findings [--wrong]`.

Precision and recall on the phrases labelled by hand, for both halves, over all, per polarity and per label; with
`--wrong` also each phrase of the half to develop on that was read otherwise. The last tables are the ceiling: how
well people's own reports, read by the extractor, agree with the human-coded problems, if the Indiana collection
is there.
"""

import sys

from pipeline.errors import UsageError
from tests.findings_phrases import HALVES, agreements, disagreements, read_phrases
from tests.night import DATA
from training.clinical import clinical_scores, named_labels, scored_labels
from training.datasets import NORMAL, read_examples


def print_agreement() -> None:
    """Both halves side by side."""
    halves = {half: agreements(read_phrases(half)) for half in HALVES}
    print(f"{'':<45}" + "".join(f"{half + ':':>10}{'n':>6}{'P':>6}{'R':>6}" for half in HALVES))
    for name in dict.fromkeys(name for half in HALVES for name in halves[half]):
        cells = ""
        for half in HALVES:
            found = halves[half].get(name)
            cells += f"{'':>10}" + (
                f"{found.labelled:>6}{found.precision:>6.2f}{found.recall:>6.2f}" if found else f"{'':>18}"
            )
        print(f"{name:<45}{cells}")


def print_wrong() -> None:
    """What to mend: the half to develop on only."""
    for phrase in read_phrases("develop"):
        extra, missed = disagreements(phrase)
        if extra or missed:
            told = [f"+{label}={value}" for label, value in extra] + [
                f"-{label}={value}" for label, value in missed
            ]
            print(f"{phrase.text}: {', '.join(told)}")


def print_ceiling() -> None:
    """References of a split against its coded problems, for labels that an evaluation on val scores."""
    folder = DATA / "iuxray"
    scored = scored_labels([e.problems for e in read_examples(folder, "val") if e.findings], {NORMAL})
    for split in ("train", "val"):
        examples = [example for example in read_examples(folder, split) if example.findings]
        named = [named_labels(example.findings, example.impression) for example in examples]
        scores = clinical_scores(named, [example.problems for example in examples], scored)
        print(f"\n{split}: macro F1 {scores.macro_f1:.3f}, micro F1 {scores.micro_f1:.3f}")
        for name, score in scores.labels.items():
            print(f"{name:<45}{score.cases:>6}{score.precision:>6.2f}{score.recall:>6.2f}{score.f1:>6.2f}")


if __name__ == "__main__":
    print_agreement()
    if "--wrong" in sys.argv:
        print_wrong()
    try:
        print_ceiling()
    except UsageError as error:
        print(f"\nNo ceiling: {error}")
