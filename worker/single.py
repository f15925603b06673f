"""One study without the ledger: `nightread convert` writes its views, `nightread caption` prints its draft."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from PIL import Image

from pipeline.assembly import Assembly, Candidate, assemble, refusal
from pipeline.conversion import convert
from pipeline.errors import NightreadError, Unavailable, UsageError
from pipeline.manifest import Manifest
from pipeline.study import Conversion, Converted, Outcome, Preprocessing, Reported, Study
from worker.bootstrap import Site
from worker.settings import Settings
from worker.terminal import DRAFT, print_json, print_report

DONE, FAILED = 0, 1


def convert_path(settings: Settings, path: Path, out: Path) -> int:
    """Write a PNG for every file under `path` that is a radiograph; tell of every file what became of it."""
    preprocessing = Site(settings=settings).manifest.preprocessing
    failed = False
    for file in _files(path):
        conversion = _convert(file, preprocessing)
        name = file.name if path.is_file() else str(file.relative_to(path))
        if isinstance(conversion, Converted):
            target = out / f"{name}.png"
            _save(conversion, target)
            notes = "; ".join((conversion.header.projection.value, *conversion.view.notes))
            click.echo(f"converted  {name} -> {target} ({notes})")
        else:
            failed = failed or conversion.failed
            click.echo(f"{'failed ' if conversion.failed else 'skipped'}    {name}: {conversion.reason}")
    return FAILED if failed else DONE


def caption_paths(settings: Settings, paths: Sequence[Path], *, as_json: bool) -> int:
    """Caption the study that the files make together, and print the draft."""
    site = Site(settings=settings)
    files = [file for path in paths for file in _files(path)]
    conversions = [_convert(file, site.manifest.preprocessing) for file in files]
    views = [conversion for conversion in conversions if isinstance(conversion, Converted)]
    for file, conversion in zip(files, conversions, strict=True):
        if not isinstance(conversion, Converted):
            click.echo(f"nightread: {file}: {conversion.reason}", err=True)
    studies = {view.header.study_instance_uid for view in views}
    if len(studies) > 1:
        raise UsageError(
            f"these files belong to {len(studies)} studies; give the files of one, or use `nightread run`"
        )
    if not views:
        raise NightreadError(f"none of the {len(files)} files is an image that reports are made from; see above")
    study = _choose(views, site.manifest)
    (outcome,) = site.load_captioner().caption([study])
    return _tell(outcome, site.manifest.title, as_json=as_json)


def _choose(views: list[Converted], manifest: Manifest) -> Study:
    candidates = tuple(_candidate(index, view) for index, view in enumerate(views))
    assembly = assemble(candidates, manifest.accepts, label=manifest.title)
    if reason := refusal(candidates, assembly, manifest.accepts, label=manifest.title):
        raise NightreadError(reason)
    return _study(views, assembly)


def _study(views: list[Converted], assembly: Assembly) -> Study:
    frontal, lateral = (
        views[index].view.pixels if index is not None else None for index in (assembly.frontal, assembly.lateral)
    )
    return Study(key=0, frontal=frontal, lateral=lateral)


def _tell(outcome: Outcome, model: str, *, as_json: bool) -> int:
    if not isinstance(outcome, Reported):
        raise NightreadError(outcome.reason)
    report = outcome.report
    if as_json:
        print_json({"notice": DRAFT, "model": model, **asdict(report)})
    else:
        print_report(
            heading="Draft report",
            findings=report.findings,
            impression=report.impression,
            confidence=report.confidence,
            model=model,
        )
    return DONE


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())


def _convert(file: Path, preprocessing: Preprocessing) -> Conversion:
    try:
        with file.open("rb") as stream:
            return convert(stream, size=file.stat().st_size, preprocessing=preprocessing)
    except OSError as error:
        raise Unavailable(f"{str(file)!r} cannot be read: {error.strerror}") from error


def _save(conversion: Converted, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(conversion.view.pixels).save(target)
    except OSError as error:
        raise Unavailable(f"{str(target)!r} cannot be written: {error.strerror}; give another --out") from error


def _candidate(index: int, view: Converted) -> Candidate:
    header = view.header
    return Candidate(
        id=index,
        sop_instance_uid=header.sop_instance_uid,
        projection=header.projection,
        projection_source=header.projection_source,
        rows=header.rows or 0,
        columns=header.columns or 0,
        body_part_examined=header.body_part_examined,
        modality=header.modality,
        last_modified=datetime.now(UTC),
        sha256=view.sha256,
    )
