"""Small folders of made-up studies, one in each form that data come in."""

import csv
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def image_bytes(seed: int, side: int = 64, kind: str = "PNG") -> bytes:
    """An image that no other seed gives."""
    grey = np.random.default_rng(seed).integers(0, 256, (side, side)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, kind)
    return buffer.getvalue()


def record(number: int, **changes: Any) -> dict[str, Any]:
    """A sound study in our own form."""
    return {
        "study": f"S{number}",
        "split": "val" if number > 4 else "train",
        "images": [{"file": f"{number}-{view}.png", "view": view} for view in ("frontal", "lateral")],
        "findings": "The heart is enlarged. No effusion." if number % 2 else "The lungs are clear.",
        "impression": "Cardiomegaly." if number % 2 else "No acute disease.",
        "indication": "Cough.",
        "mesh": ["Cardiomegaly/mild"] if number % 2 else ["normal"],
        "problems": ["Cardiomegaly"] if number % 2 else ["normal"],
        **changes,
    }


def write_indiana(
    folder: Path, records: Sequence[Any], images: Mapping[str, bytes] | None = None, *, without: Sequence[str] = ()
) -> Path:
    """Write `studies.json` and `images.zip`; the images that the records name, unless given."""
    (folder / "studies.json").write_text(json.dumps(records))
    names = [image["file"] for raw in records if isinstance(raw, dict) for image in raw.get("images", ())]
    made = {name: image_bytes(number) for number, name in enumerate(dict.fromkeys(names))} | dict(images or {})
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for name, content in made.items():
            if name not in without:
                archive.writestr(f"images/{name}", content)
    return folder


OPENI = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText>
<AbstractText Label="INDICATION">Chest
 pain.</AbstractText>
<AbstractText Label="FINDINGS">The heart is enlarged.</AbstractText>
<AbstractText Label="IMPRESSION">Cardiomegaly.</AbstractText>
</Abstract></Article></MedlineCitation>
<MeSH>{mesh}<automatic>pneumonia</automatic></MeSH>
{images}</eCitation>
"""


def openi_report(number: int, captions: Mapping[str, str], major: Sequence[str]) -> str:
    """A report as Open-i writes it; `captions` by image id."""
    images = "".join(
        f'<parentImage id="{name}"><caption>{caption}</caption></parentImage>'
        for name, caption in captions.items()
    )
    return OPENI.format(number=number, images=images, mesh="".join(f"<major>{code}</major>" for code in major))


def write_tgz(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a tar archive."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table, gzipped where its name says so."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    content = buffer.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
