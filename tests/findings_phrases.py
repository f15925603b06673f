"""Phrases labelled by hand, and how well the extractor agrees with them.

`unit/findings_phrases.tsv` holds phrases of three to twelve words after the wording of real reports: its half
(the extractor was mended on `develop` only, never on `held`), the phrase, and `label=polarity` for all that a
reader takes from it. A label in brackets may be stated or not: people differ, or the phrase says it only by the
way. A finding is right where label and polarity are.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.findings import extract
from pipeline.study import Polarity

FILE = Path(__file__).parent / "unit" / "findings_phrases.tsv"
HALVES = ("develop", "held")
BROADER = {  # a labelled finding is also one of these CheXpert labels
    **dict.fromkeys(("Opacity", "Airspace Disease", "Infiltrate", "Consolidation"), "Lung Opacity"),
    **dict.fromkeys(("Nodule", "Mass"), "Lung Lesion"),
    **dict.fromkeys(("Cardiac Shadow", "Mediastinum"), "Enlarged Cardiomediastinum"),
    **dict.fromkeys(
        ("Catheters, Indwelling", "Tube, Inserted", "Implanted Medical Device", "Surgical Instruments"),
        "Support Devices",
    ),
    "Pulmonary Atelectasis": "Atelectasis",
    "Pulmonary Edema": "Edema",
    "Fractures, Bone": "Fracture",
    "Emphysema": "Pulmonary Emphysema",
}
_STRENGTH = (Polarity.ABSENT, Polarity.UNCERTAIN, Polarity.PRESENT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """One phrase and what a reader takes from it."""

    half: str
    text: str
    said: dict[str, Polarity]
    optional: frozenset[str]  # labels that count neither for nor against


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How often the extractor was right."""

    right: int
    stated: int  # by the extractor
    labelled: int  # by hand

    @property
    def precision(self) -> float:
        """Right among those stated."""
        return self.right / self.stated if self.stated else 1.0

    @property
    def recall(self) -> float:
        """Right among those labelled."""
        return self.right / self.labelled if self.labelled else 1.0


def read_phrases(half: str) -> list[Phrase]:
    """The phrases of one half, in the file's order."""
    rows = (line.split("\t") for line in FILE.read_text(encoding="utf-8").splitlines()[1:])
    return [_phrase(*row) for row in rows if row[0] == half]


def _phrase(half: str, text: str, labels: str) -> Phrase:
    parts = [part for part in labels.split("; ") if part]
    said = {label: Polarity(value) for label, value in (part.split("=") for part in parts if "=" in part)}
    optional = {part.strip("()") for part in parts if "=" not in part}
    for label, polarity in tuple(said.items()):
        broader = BROADER.get(label)
        if broader:
            said[broader] = max(said.get(broader, polarity), polarity, key=_STRENGTH.index)
    optional |= {BROADER[label] for label in optional if label in BROADER}
    return Phrase(half=half, text=text, said=said, optional=frozenset(optional - set(said)))


def disagreements(phrase: Phrase) -> tuple[set[tuple[str, Polarity]], set[tuple[str, Polarity]]]:
    """What the extractor states and a reader does not, and what it misses."""
    stated = _stated(phrase)
    return stated - set(phrase.said.items()), set(phrase.said.items()) - stated


def _stated(phrase: Phrase) -> set[tuple[str, Polarity]]:
    return {(item.label, item.polarity) for item in extract(phrase.text) if item.label not in phrase.optional}


def agreements(phrases: Sequence[Phrase]) -> dict[str, Agreement]:
    """Over all, per polarity and per label, most frequent label first."""
    right, stated, labelled = Counter[str](), Counter[str](), Counter[str]()
    for phrase in phrases:
        said, found = set(phrase.said.items()), _stated(phrase)
        right.update(_keys(said & found))
        stated.update(_keys(found))
        labelled.update(_keys(said))
    names = ["all", *_STRENGTH, *(name for name, _ in labelled.most_common()), *sorted(stated)]
    return {
        name: Agreement(right=right[name], stated=stated[name], labelled=labelled[name])
        for name in dict.fromkeys(map(str, names))
    }


def _keys(findings: Iterable[tuple[str, Polarity]]) -> Iterable[str]:
    for label, polarity in findings:
        yield from ("all", str(polarity), label)
