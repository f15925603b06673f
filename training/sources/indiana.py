"""`studies.json` beside `images.zip`: our own form, in which the Indiana collection and a site's exports come.

A record names its study, its split, its images with their views, and its sections; problems as people coded them,
or none where nobody did: then they are read from the text. Optional: patient, age, sex, coded_by. A study without
a split gets one by its patient.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.problems import problems_in
from pipeline.splits import split_of
from pipeline.study import Projection
from training.examples import PEOPLE, TEXT, Example
from training.problem_list import Problem
from training.sources.dataset import DataSet
from training.sources.images import ZippedImages

STUDIES, IMAGES = "studies.json", "images.zip"
VIEWS = tuple(str(view) for view in Projection)
NEEDED = {"study": str, "images": list, "findings": str, "impression": str}
OPTIONAL = {"split": str, "problems": list, "mesh": list, "indication": str, "patient": str, "sex": str}


class IndianaReader:
    """Reads our own form."""

    form = "iuxray"
    looked_for = f"{STUDIES} beside {IMAGES}"

    def recognises(self, folder: Path) -> bool:
        """Whether the studies are there."""
        return (folder / STUDIES).is_file()

    def read(self, folder: Path) -> DataSet:
        """Read the records; one that is not as described is a problem and left out."""
        examples, problems = [], []
        for number, raw in enumerate(_records(folder / STUDIES)):
            wrong = list(_wrong(raw, f"record {number}"))
            problems += wrong
            if not any(problem.stops for problem in wrong):
                examples.append(_example(raw))
        images = ZippedImages(folder / IMAGES)
        return DataSet(form=self.form, examples=tuple(examples), images=images, problems=tuple(problems))


def _records(path: Path) -> list[Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}; write it again as a JSON list of studies") from error
    if not isinstance(raw, list):
        raise UsageError(f"{path} holds {type(raw).__name__}, not a list of studies; write it again")
    return raw


def _wrong(raw: Any, place: str) -> Iterable[Problem]:
    """What keeps a record from being an example."""
    if not isinstance(raw, dict):
        yield Problem(kind="these records of studies.json are no objects", place=place)
        return
    place = str(raw.get("study", place))
    wrong = [name for name, kind in NEEDED.items() if not isinstance(raw.get(name), kind)]
    wrong += [name for name, kind in OPTIONAL.items() if not isinstance(raw.get(name, kind()), kind)]
    if not isinstance(raw.get("age"), int | float | None):
        wrong.append("age")
    for name in wrong:
        yield Problem(kind=f"these studies have no {name!r}, or one of a wrong type", place=place)
    if "images" not in wrong:
        yield from _wrong_images(raw["images"], place)


def _wrong_images(images: list[Any], place: str) -> Iterable[Problem]:
    for image in images:
        if not isinstance(image, dict) or not isinstance(image.get("file"), str):
            yield Problem(kind="these studies have images that name no 'file'", place=place)
        elif image.get("view") not in VIEWS:
            kind = f"these images have an unknown view; use {', '.join(VIEWS)}"
            yield Problem(kind=kind, place=f"{image['file']} ({image.get('view')!r})")


def _first(images: Iterable[dict[str, str]], projection: Projection) -> str | None:
    return next((image["file"] for image in images if image["view"] == projection), None)


def _example(raw: dict[str, Any]) -> Example:
    patient = raw.get("patient") or raw["study"]
    coded = "problems" in raw and raw.get("coded_by", PEOPLE) == PEOPLE
    read = problems_in(raw["findings"], raw["impression"]) if "problems" not in raw else None
    return Example(
        study=raw["study"],
        split=raw.get("split") or split_of(patient),
        frontal=_first(raw["images"], Projection.FRONTAL),
        lateral=_first(raw["images"], Projection.LATERAL),
        findings=raw["findings"],
        impression=raw["impression"],
        problems=read.problems if read else frozenset(problem.strip() for problem in raw["problems"]),
        mesh=read.mesh if read else frozenset(code.strip() for code in raw.get("mesh", raw["problems"])),
        patient=patient,
        indication=raw.get("indication", ""),
        age=raw.get("age"),
        sex=raw.get("sex", ""),
        coded_by=PEOPLE if coded else raw.get("coded_by", TEXT),
    )
