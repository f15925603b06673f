"""What a run would make of files, told without writing anything: `nightread rules test`.

Every file is converted as a run converts it, every study assembled for the model at hand. Tells names of files,
UIDs, outcomes and reasons; nothing else of a header. Holds no view: an archive of any size fits.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from pipeline.assembly import assemble, refusal
from pipeline.errors import UsageError
from pipeline.handling import Handling
from pipeline.manifest import Manifest
from pipeline.ranking import Candidate
from pipeline.rules import NO_RULES
from pipeline.sidecar import is_sidecar
from pipeline.study import Conversion, Converted
from worker.bootstrap import Site
from worker.facts import candidate_of
from worker.settings import Settings
from worker.single import convert_file, files_under
from worker.terminal import print_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """What would become of one object."""

    object: str  # the file's name under the path
    outcome: str  # converted, skipped or failed
    reason: str = ""  # why it is no view; of a view: its role, or why it would not be used
    used: bool = False  # the model would see it
    study: str = ""  # Study Instance UID, as far as it was read
    series: str = ""
    instance: str = ""
    projection: str = ""
    projection_source: str = ""
    projection_confidence: float | None = None
    rule: str = ""  # the site's rule that spoke
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Foresight:
    """All that would happen."""

    model: str
    rules_sha256: str
    objects: tuple[Fate, ...]
    studies: dict[str, str]  # by UID: why the model would not report it; "" where it would


def show_foresight(settings: Settings, path: Path, *, as_json: bool) -> None:
    """Print what a run would make of the files under `path`."""
    site = Site(settings=settings)
    if site.handling.rules is NO_RULES:
        click.echo("nightread: warning: no rules are given: set NIGHTREAD_RULES or --rules", err=True)
    told = foresee(path, site.manifest, site.handling, marker=settings.marker)
    if not told.objects:
        raise UsageError(f"there is no file under {str(path)!r}; name a folder of DICOM files")
    if as_json:
        print_json(asdict(told))
        return
    for line in lines(told):
        click.echo(line)


def foresee(path: Path, manifest: Manifest, handling: Handling, *, marker: str = "") -> Foresight:
    """As `show_foresight`, as a value."""
    fates: list[Fate] = []
    studies: dict[str, list[Candidate]] = defaultdict(list)
    for file in files_under(path):
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        if is_sidecar(name) or file.name == marker:
            fates.append(Fate(object=name, outcome="skipped", reason="no image: a sidecar or a marker"))
            continue
        conversion = convert_file(file, manifest.preprocessing, handling)
        if isinstance(conversion, Converted):
            stored = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            one = candidate_of(conversion.header, id=len(fates), last_modified=stored, sha256=conversion.sha256)
            studies[conversion.header.study_instance_uid].append(one)
        fates.append(_fate(name, conversion))
    reasons = dict(_assembled(studies, manifest, fates))
    return Foresight(
        model=manifest.title, rules_sha256=handling.rules.sha256, objects=tuple(fates), studies=reasons
    )


def _assembled(
    studies: Mapping[str, list[Candidate]], manifest: Manifest, fates: list[Fate]
) -> Iterator[tuple[str, str]]:
    """Each study with why it is refused; what is chosen of it goes into `fates`."""
    for study, images in studies.items():
        candidates = tuple(images)
        assembly = assemble(candidates, manifest.accepts, label=manifest.title)
        for choice in assembly.choices:
            fates[choice.id] = replace(fates[choice.id], used=choice.used, reason=choice.reason)
        yield study, refusal(candidates, assembly, manifest.accepts, label=manifest.title) or ""


def _fate(name: str, conversion: Conversion) -> Fate:
    header = conversion.header
    told = Fate(object=name, outcome="converted")
    if not isinstance(conversion, Converted):
        told = replace(told, outcome="failed" if conversion.failed else "skipped", reason=conversion.reason)
    if header is None:
        return told
    return replace(
        told,
        study=header.study_instance_uid,
        series=header.series_instance_uid,
        instance=header.sop_instance_uid,
        projection=header.projection.value,
        projection_source=header.projection_source,
        projection_confidence=header.projection_confidence,
        rule=header.standing.rule,
        notes=conversion.view.notes if isinstance(conversion, Converted) else (),
    )


def lines(told: Foresight) -> Iterator[str]:
    """For a person: objects by study, then what is of no study that would be reported."""
    by_study: dict[str, list[Fate]] = defaultdict(list)
    for fate in told.objects:
        by_study[fate.study if fate.study in told.studies else ""].append(fate)
    for study, reason in told.studies.items():
        yield f"study {study}: {f'skipped: {reason}' if reason else f'reported by {told.model}'}"
        yield from _told(by_study[study])
    if by_study[""]:
        yield "of no study with a view"
        yield from _told(by_study[""])


def _told(fates: Iterable[Fate]) -> Iterator[str]:
    for fate in fates:
        seen = ""
        if fate.outcome == "converted":
            sure = "" if fate.projection_confidence is None else f" {fate.projection_confidence:.3f}"
            seen = f" [{fate.projection}{f' by {fate.projection_source}' if fate.projection_source else ''}{sure}]"
        mark = "used     " if fate.used else fate.outcome.ljust(9)
        yield f"  {mark} {fate.object}{seen}: {'; '.join((fate.reason, *fate.notes))}"
