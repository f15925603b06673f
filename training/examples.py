"""One study of a data set, and the concepts that a model learns to see in such studies.

The vocabulary that every form of data is read into (`training.sources`). Knows no files and no model.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.problems import NORMAL

ABNORMAL = "abnormal"  # our own concept: the coders did not write "normal"
PEOPLE, LABELER, TEXT = "people", "labeler", "text"  # who coded the problems
REFINED = {  # problems that mean opposite or unrelated things until a qualifier tells which
    "Lung": ("hypoinflation", "hyperdistention"),
    "Diaphragm": ("elevated", "flattened"),
    "Calcinosis": ("aorta", "lymph nodes"),
    "Opacity": ("base",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One study of a data set, with what people wrote and coded."""

    study: str
    split: str
    frontal: str | None  # a file of the data set's images
    lateral: str | None
    findings: str
    impression: str
    problems: frozenset[str]
    mesh: frozenset[str]  # the same problems with their qualifiers, "Lung/hypoinflation/mild"
    patient: str = ""  # the same for all studies of one; the study where the source does not tell
    indication: str = ""  # why the study was made
    age: float | None = None  # years
    sex: str = ""  # as DICOM writes it: M, F, O
    coded_by: str = PEOPLE  # or a labeler of the source's, or our own reading of the text

    @property
    def abnormal(self) -> bool:
        """Whether the coders found anything."""
        return NORMAL not in self.problems

    @property
    def concepts(self) -> frozenset[str]:
        """What a concept head learns to see: the problems, and whether there are any."""
        refined = {f"{name}/{part}" for code in self.mesh for name, part in _qualified(code)}
        return self.problems - {NORMAL} | refined | ({ABNORMAL} if self.abnormal else set())


def _qualified(code: str) -> Iterable[tuple[str, str]]:
    name, *qualifiers = code.split("/")
    return ((name, part) for part in REFINED.get(name, ()) if part in qualifiers)


def concept_names(examples: Sequence[Example], at_least: int) -> tuple[str, ...]:
    """The concepts that occur often enough to be learnt, most frequent first."""
    counts = Counter(concept for example in examples for concept in example.concepts)
    return tuple(name for name, count in counts.most_common() if count >= at_least)


def concept_targets(examples: Sequence[Example], names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """[studies, concepts] of 0 and 1."""
    rows = [[name in example.concepts for name in names] for example in examples]
    return np.asarray(rows, dtype=np.float32)
