"""Phantoms with reports, as a folder to train from: what is named shows in the images and nowhere else.

Each finding is there or not by a throw of its own, in words that are thrown too, so that no sentence tells of the
next. They come in one order: a greedy search of texts in any order would leave some out. Assumes findings that are
large enough for small images.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from pipeline.phantom import Anatomy, Lesion, radiograph

CHANCE = 0.4  # of each finding
TOLD = {  # finding -> sentences that name it, and that rule it out
    "Cardiomegaly": (
        ("The heart is enlarged.", "There is cardiomegaly."),
        ("Heart size is normal.", "The heart is not enlarged."),
    ),
    "Pleural Effusion": (
        ("There is a pleural effusion.", "A pleural effusion is seen."),
        ("No pleural effusion.", "There is no effusion."),
    ),
    "Nodule": (
        ("There is a lung nodule.", "A nodule is seen in the lung."),
        ("No lung nodule.", "There is no nodule."),
    ),
}


def write_phantoms(folder: Path, splits: Mapping[str, int], *, size: int) -> None:
    """Studies of both views, square, so many in each split."""
    folder.mkdir(parents=True, exist_ok=True)
    studies = []
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for number, split in enumerate(name for name, count in splits.items() for _ in range(count)):
            dice = Random(number)
            findings = [name for name in TOLD if dice.random() < CHANCE]
            anatomy = _anatomy(number, findings, dice)
            files = {view: f"{number}-{view}.png" for view in ("frontal", "lateral")}
            for view, file in files.items():
                archive.writestr(file, _png(anatomy, view, size))
            studies.append(_record(number, split, files, findings, dice))
    _write(folder, studies)


def exchange_images(source: Path, folder: Path) -> None:
    """The same studies, each with the images of another one of its split."""
    folder.mkdir()
    (folder / "images.zip").symlink_to(source / "images.zip")
    studies = json.loads((source / "studies.json").read_text(encoding="utf-8"))
    for split in {study["split"] for study in studies}:
        same = [study for study in studies if study["split"] == split]
        images = [study["images"] for study in same]
        for study, others in zip(same, [*images[1:], images[0]], strict=True):
            study["images"] = others
    _write(folder, studies)


def _write(folder: Path, studies: Sequence[Mapping[str, Any]]) -> None:
    (folder / "studies.json").write_text(json.dumps(studies), encoding="utf-8")


def _anatomy(seed: int, findings: Sequence[str], dice: Random) -> Anatomy:
    effusion = "Pleural Effusion" in findings
    side = dice.choice(("right", "left"))
    nodule = Lesion(
        side=dice.choice(("right", "left")),
        x=dice.uniform(0.16, 0.24),
        y=dice.uniform(0.26, 0.42),
        z=dice.uniform(0.4, 0.7),
        radius=dice.uniform(0.05, 0.065),
        density=dice.uniform(0.7, 0.9),
    )
    return Anatomy(
        seed=seed,
        cardiothoracic_ratio=dice.uniform(0.62, 0.7) if "Cardiomegaly" in findings else dice.uniform(0.4, 0.46),
        effusion_right=dice.uniform(0.5, 0.9) if effusion and side == "right" else 0.0,
        effusion_left=dice.uniform(0.5, 0.9) if effusion and side == "left" else 0.0,
        nodules=(nodule,) if "Nodule" in findings else (),
        build=dice.uniform(0.96, 1.05),
        exposure=dice.uniform(0.92, 1.1),
    )


def _png(anatomy: Anatomy, view: Any, size: int) -> bytes:
    pixels = radiograph(anatomy, view, rows=size, columns=size)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _record(
    number: int, split: str, files: Mapping[str, str], findings: Sequence[str], dice: Random
) -> dict[str, Any]:
    told = [dice.choice(sentences[name not in findings]) for name, sentences in TOLD.items()]
    return {
        "study": f"phantom-{number}",
        "split": split,
        "images": [{"file": file, "view": view} for view, file in files.items()],
        "findings": " ".join(told),
        "impression": " ".join(f"{name.capitalize()}." for name in findings) or "No acute disease.",
        "problems": list(findings) or ["normal"],
        "mesh": list(findings) or ["normal"],
    }
