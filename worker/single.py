"""One study without the ledger: `nightread convert` writes its views, `nightread caption` prints its draft."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import click
from PIL import Image

from pipeline.assembly import Assembly, assemble, refusal
from pipeline.background import first_known
from pipeline.conversion import convert
from pipeline.errors import BadObject, NightreadError, Unavailable, UsageError
from pipeline.handling import Handling
from pipeline.manifest import Manifest
from pipeline.sidecar import is_sidecar, read_sidecar
from pipeline.study import Background, Conversion, Converted, Preprocessing, Report, Reported, Study
from worker.bootstrap import Site
from worker.facts import candidate_of
from worker.looks import Look, print_looks, require_empty, write_overlays
from worker.settings import Settings
from worker.terminal import DRAFT, print_json, print_report

DONE, FAILED = 0, 1


def convert_path(settings: Settings, path: Path, out: Path) -> int:
    """Write a PNG for every file under `path` that is a radiograph; tell of every file what became of it."""
    site = Site(settings=settings)
    failed = False
    for file in files_under(path):
        conversion = convert_file(file, site.manifest.preprocessing, site.handling)
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


def caption_paths(
    settings: Settings, paths: Sequence[Path], given: Background, *, as_json: bool, overlay: Path | None = None
) -> int:
    """Caption the study that the files make together, and print the draft. `given` comes before what they tell.

    `overlay`: a folder, new or empty, for pictures of where the model looked.
    """
    if overlay:
        require_empty(overlay)
    site = Site(settings=settings)
    found = [file for path in paths for file in files_under(path)]
    files = [file for file in found if not is_sidecar(file.name)]
    wanted = site.manifest.preprocessing
    conversions = [convert_file(file, wanted, site.handling) for file in files]
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
    sidecars = _sidecars([file for file in found if is_sidecar(file.name)], *studies)
    told = _told(given, [*sidecars, *(view.header.background for view in views)], settings, site.manifest)
    study = replace(_choose(views, site.manifest), background=told)
    captioner = site.load_captioner()
    (outcome,) = captioner.caption([study])
    if not isinstance(outcome, Reported):
        raise NightreadError(outcome.reason)
    looks = write_overlays(captioner, study, outcome.report, overlay) if overlay else None
    _tell(outcome.report, site.manifest.title, looks, as_json=as_json)
    return DONE


def _sidecars(files: Sequence[Path], study: str) -> Iterator[Background]:
    for file in files:
        try:
            with file.open("rb") as stream:
                sidecar = read_sidecar(stream, size=file.stat().st_size)
        except OSError as error:
            raise Unavailable(f"{str(file)!r} cannot be read: {error.strerror}") from error
        except BadObject as error:
            raise BadObject(f"{file}: {error}") from error
        if sidecar.study_instance_uid == study:
            yield sidecar.background
        else:
            click.echo(f"nightread: {file}: of another study", err=True)


def _told(given: Background, known: Sequence[Background], settings: Settings, manifest: Manifest) -> Background:
    """What the model is told: what was typed, then what the files say as far as the site allows."""
    if not manifest.accepts.background:
        if given != Background():
            click.echo(f"nightread: warning: {manifest.title} reads no indication, age or sex", err=True)
        return Background()
    if settings.indication == "off":
        known = [replace(one, indication="") for one in known]
    return first_known([given, *known])


def _choose(views: list[Converted], manifest: Manifest) -> Study:
    now = datetime.now(UTC)
    candidates = tuple(
        candidate_of(view.header, id=index, last_modified=now, sha256=view.sha256)
        for index, view in enumerate(views)
    )
    assembly = assemble(candidates, manifest.accepts, label=manifest.title)
    if reason := refusal(candidates, assembly, manifest.accepts, label=manifest.title):
        raise NightreadError(reason)
    return _study(views, assembly)


def _study(views: list[Converted], assembly: Assembly) -> Study:
    frontal, lateral = (
        views[index].view.pixels if index is not None else None for index in (assembly.frontal, assembly.lateral)
    )
    return Study(key=0, frontal=frontal, lateral=lateral)


def _tell(report: Report, model: str, looks: list[Look] | None, *, as_json: bool) -> None:
    if as_json:
        told = {"notice": DRAFT, "model": model, **asdict(report)}
        print_json(told if looks is None else told | {"overlays": [asdict(look) for look in looks]})
        return
    print_report(
        heading="Draft report",
        findings=report.findings,
        impression=report.impression,
        confidence=report.confidence,
        model=model,
    )
    if looks is not None:
        print_looks(looks)


def files_under(path: Path) -> Iterator[Path]:
    """The file itself, or all files under a folder, by name."""
    if path.is_file():
        yield path
    else:
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())


def convert_file(file: Path, preprocessing: Preprocessing, handling: Handling) -> Conversion:
    """Convert one file; Unavailable where the disk does not give it."""
    try:
        with file.open("rb") as stream:
            size = file.stat().st_size
            return convert(stream, size=size, preprocessing=preprocessing, handling=handling)
    except OSError as error:
        raise Unavailable(f"{str(file)!r} cannot be read: {error.strerror}") from error


def _save(conversion: Converted, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(conversion.view.pixels).save(target)
    except OSError as error:
        raise Unavailable(f"{str(target)!r} cannot be written: {error.strerror}; give another --out") from error
