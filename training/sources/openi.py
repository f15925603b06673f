"""Open-i's own files: a report per XML file in `ecgen-radiology/` (or its tar.gz), and the images as PNG.

Problems are the `major` codes, which people gave; `automatic` ones are a machine's and are left. Open-i does not
tell a file's projection: `indiana_projections.csv` does where it is beside the reports; else a caption that names
one view alone; else the order, frontal first, which holds for 89 of 100 pairs of the collection. One patient has
one study in this collection, as far as anyone tells. Splits are drawn by patient.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from pipeline.errors import UsageError
from pipeline.problems import problems_in
from pipeline.splits import split_of
from training.examples import PEOPLE, TEXT, Example
from training.problem_list import Problem
from training.sources.dataset import DataSet
from training.sources.images import FiledImages, UnpackedImages, below
from training.sources.tables import find_table, read_table

REPORTS, REPORT_ARCHIVES, IMAGE_ARCHIVES = "ecgen-radiology", "*reports*.t*gz", "*png*.t*gz"
PROJECTIONS = "*projections*.csv"
GUESSED = "the projection of {} of {} images was not told by Open-i and was taken from their order, frontal first"
_FRONTAL = re.compile(r"\b(?:PA|AP|frontal)\b", re.IGNORECASE)
_LATERAL = re.compile(r"\blat(?:eral)?\b", re.IGNORECASE)
_STUDY_PREFIX = re.compile(r"^CXR\d+_")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Image:
    file: str  # without suffix
    caption: str


class OpenIReader:
    """Reads Open-i's XML and PNG."""

    form = "openi"
    looked_for = f"{REPORTS}/*.xml (or NLMCXR_reports.tgz) beside its PNGs"

    def recognises(self, folder: Path) -> bool:
        """Whether the reports are there."""
        return (folder / REPORTS).is_dir() or any(folder.glob(REPORT_ARCHIVES))

    def read(self, folder: Path) -> DataSet:
        """Read every report; one that is no XML is a problem and left out."""
        told = _projections(folder)
        examples: list[Example] = []
        problems: list[Problem] = []
        guessed = views = 0
        for name, content in _reports(folder):
            try:
                root = _parsed(content)
            except ET.ParseError as error:
                problems.append(Problem(kind="these reports are no XML", place=f"{name} ({error})"))
                continue
            images = list(_images(root))
            roles, guesses = _roles(images, told)
            guessed, views = guessed + guesses, views + len(images)
            examples.append(_example(root, name, roles))
        archive = next(iter(folder.glob(IMAGE_ARCHIVES)), None)
        files = below(folder)
        return DataSet(
            form=self.form,
            examples=tuple(examples),
            images=FiledImages(files) if files or not archive else UnpackedImages(archive),
            notes=(GUESSED.format(guessed, views),) if guessed else (),
            problems=tuple(problems),
        )


def _projections(folder: Path) -> dict[str, str]:
    path = find_table(folder, PROJECTIONS)
    rows = read_table(path, {"filename", "projection"}) if path else []
    return {row["filename"].split(".")[0]: row["projection"].strip().lower() for row in rows}


def _reports(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every report's name and content, in the order of their numbers."""
    if (folder / REPORTS).is_dir():
        paths = sorted((folder / REPORTS).rglob("*.xml"), key=lambda path: _number(path.stem))
        yield from ((path.stem, path.read_bytes()) for path in paths)
        return
    path = next(iter(folder.glob(REPORT_ARCHIVES)))
    try:
        with tarfile.open(path) as archive:
            members = {Path(m.name).stem: archive.extractfile(m) for m in archive if m.name.endswith(".xml")}
            read = {name: stream.read() for name, stream in members.items() if stream}
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UsageError(f"cannot read {path}: {error}; copy it again from where it was published") from error
    yield from sorted(read.items(), key=lambda item: _number(item[0]))


def _number(stem: str) -> tuple[int, str]:
    digits = re.sub(r"\D", "", stem)
    return int(digits or 0), stem


def _parsed(content: bytes) -> ET.Element:
    if b"<!ENTITY" in content:  # the one way in which XML of this size grows without bound
        raise ET.ParseError("it declares entities")
    return ET.fromstring(content)  # noqa: S314 - see above


def _images(root: ET.Element) -> Iterator[_Image]:
    for image in root.iter("parentImage"):
        if image.get("id"):
            yield _Image(file=image.get("id", ""), caption=image.findtext("caption") or "")


def _roles(images: list[_Image], told: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """The first file of each projection, and how many were only guessed from their order."""
    roles: dict[str, str] = {}
    unknown: list[str] = []
    for image in images:
        projection = told.get(_STUDY_PREFIX.sub("", image.file)) or _from_caption(image.caption)
        if projection:
            roles.setdefault(projection, image.file)
        else:
            unknown.append(image.file)
    for file in unknown:
        free = next((name for name in ("frontal", "lateral") if name not in roles), None)
        if free:
            roles[free] = file
    return roles, len(unknown)


def _from_caption(caption: str) -> str:
    """The projection where a caption names one: that of a study with both ("PA and Lateral") tells nothing."""
    frontal, lateral = bool(_FRONTAL.search(caption)), bool(_LATERAL.search(caption))
    if frontal == lateral:
        return ""
    return "frontal" if frontal else "lateral"


def _codes(root: ET.Element) -> Iterable[str]:
    return (code.strip() for element in root.iter("major") for code in (element.text or "").split(";"))


def _example(root: ET.Element, name: str, roles: Mapping[str, str]) -> Example:
    sections = {
        (element.get("Label") or "").lower(): " ".join((element.text or "").split())
        for element in root.iter("AbstractText")
    }
    identity = root.find("uId")
    study = (identity.get("id") if identity is not None else None) or f"CXR{name}"
    findings, impression = sections.get("findings", ""), sections.get("impression", "")
    mesh = frozenset(code for code in _codes(root) if code)
    read = problems_in(findings, impression) if not mesh else None
    return Example(
        study=study,
        split=split_of(study),
        frontal=roles.get("frontal"),
        lateral=roles.get("lateral"),
        findings=findings,
        impression=impression,
        problems=read.problems if read else frozenset(code.split("/")[0].strip() for code in mesh),
        mesh=read.mesh if read else mesh,
        patient=study,
        indication=sections.get("indication", ""),
        coded_by=TEXT if read else PEOPLE,
    )
