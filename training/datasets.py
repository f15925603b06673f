"""A folder of studies with reports: `studies.json` beside `images.zip`, in the form of the Indiana collection.

Assumes each study names its split, its images with their view, its sections and its human-coded problems. Takes
the first frontal and the first lateral image. Knows no model; the images stay in the archive until asked for.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.errors import UsageError
from pipeline.pixels import resize
from pipeline.study import Pixels, Preprocessing, Projection, Study

NORMAL = "normal"
ABNORMAL = "abnormal"  # our own concept: the coders did not write "normal"
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
    frontal: str | None  # a file in images.zip
    lateral: str | None
    findings: str
    impression: str
    problems: frozenset[str]
    mesh: frozenset[str]  # the same problems with their qualifiers, "Lung/hypoinflation/mild"

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


def _first(images: Iterable[dict[str, str]], projection: Projection) -> str | None:
    return next((image["file"] for image in images if image["view"] == projection), None)


def _example(raw: dict[str, Any]) -> Example:
    return Example(
        study=raw["study"],
        split=raw["split"],
        frontal=_first(raw["images"], Projection.FRONTAL),
        lateral=_first(raw["images"], Projection.LATERAL),
        findings=raw["findings"],
        impression=raw["impression"],
        problems=frozenset(problem.strip() for problem in raw["problems"]),
        mesh=frozenset(code.strip() for code in raw["mesh"]),
    )


def read_examples(folder: Path, *splits: str) -> list[Example]:
    """The studies of the named splits (all if none is named), in the file's order."""
    path = folder / "studies.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}; name a folder with studies.json and images.zip") from error
    examples = [_example(item) for item in raw]
    return [example for example in examples if not splits or example.split in splits]


def concept_names(examples: Sequence[Example], at_least: int) -> tuple[str, ...]:
    """The concepts that occur often enough to be learnt, most frequent first."""
    counts = Counter(concept for example in examples for concept in example.concepts)
    return tuple(name for name, count in counts.most_common() if count >= at_least)


def concept_targets(examples: Sequence[Example], names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """[studies, concepts] of 0 and 1."""
    rows = [[name in example.concepts for name in names] for example in examples]
    return np.asarray(rows, dtype=np.float32)


class ImageArchive:
    """The images of a data set, decoded when asked for."""

    def __init__(self, folder: Path, wanted: Preprocessing) -> None:
        self._zip = zipfile.ZipFile(folder / "images.zip")
        self._names = {Path(name).name: name for name in self._zip.namelist()}
        self._wanted = wanted

    def pixels(self, file: str) -> Pixels:
        """One image as a model-ready view."""
        image = Image.open(io.BytesIO(self._zip.read(self._names[file]))).convert("L")
        return resize(np.asarray(image), self._wanted)

    def study(self, example: Example, key: int) -> Study:
        """One study as a captioner takes it."""
        views = [None if file is None else self.pixels(file) for file in (example.frontal, example.lateral)]
        return Study(key=key, frontal=views[0], lateral=views[1])
