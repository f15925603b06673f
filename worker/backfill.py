"""The `backfill` command without click, and the slice by which the beat feeds what it started.

A command's window is of the local clock of the machine that it is given on, and is kept in UTC from then on: it
moves by an hour when that clock is changed for the summer. Nothing here touches a model beyond its manifest.
"""

import time
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import structlog
from sqlalchemy import Engine

from db import backfills
from db.backfills import BackfillEntry, Selection, SelectionCount
from db.engine import reading, writing
from db.feeding import Fed, feed
from db.pace import Pace, Window
from pipeline.errors import UsageError
from worker.bootstrap import Site, worker_name
from worker.provenance import model_fact
from worker.settings import Settings
from worker.terminal import print_json

OPERATOR = "operator"
SLICE_SECONDS = 1.0
FIRST_SECONDS = 2.0  # what the command itself queues before it leaves the rest to the beat
LINES_SHOWN = 10

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the command's options ask for."""

    first_date: date | None = None
    last_date: date | None = None
    modalities: tuple[str, ...] = ()
    file: Path | None = None  # a Study Instance UID a line
    per_hour: int | None = None
    window: str = ""  # HH:MM-HH:MM, local


def feed_slice(engine: Engine, *, model_version_id: int, actor: str, seconds: float = SLICE_SECONDS) -> Fed:
    """Feed the running back-fills of this model until they have their due, or for about so many seconds."""
    until, walked, queued, finished = time.monotonic() + seconds, 0, 0, 0
    while True:
        with writing(engine) as connection:
            fed = feed(connection, model_version_id=model_version_id, actor=actor)
        walked, queued, finished = walked + fed.walked, queued + fed.queued, finished + fed.finished
        if not fed.walked or time.monotonic() >= until:
            break
    if queued or finished:
        log.info("backfill_fed", queued=queued, walked=walked, finished=finished)
    return Fed(walked=walked, queued=queued, finished=finished)


def start_backfill(settings: Settings, wanted: Wanted, *, dry_run: bool, as_json: bool) -> None:
    """Count what the model has not seen and, unless it is a dry run, start queueing it."""
    pace, selection, site = _pace(wanted), _selection(wanted), _existing(settings)
    model_version_id = _model_version(site, register=not dry_run)
    named = _named(site.engine, wanted.file) if wanted.file else []
    with reading(site.engine) as connection:
        counted = backfills.count(connection, selection, model_version_id=model_version_id, named=named)
    backfill_id, fed = None, Fed(walked=0, queued=0, finished=0)
    if counted.to_queue and not dry_run:
        with writing(site.engine) as connection:
            backfill_id = backfills.start(
                connection, selection, model_version_id=model_version_id, pace=pace, actor=OPERATOR, named=named
            )
        fed = feed_slice(
            site.engine, model_version_id=model_version_id, actor=worker_name(), seconds=FIRST_SECONDS
        )
    if as_json:
        told = {"backfill": backfill_id, "model": site.manifest.title, **asdict(counted), "queued": fed.queued}
        print_json(told)
        return
    _tell(site.manifest.title, counted, pace)
    if backfill_id is not None:
        _tell_start(backfill_id, fed)


def _model_version(site: Site, *, register: bool) -> int:
    if register:
        return site.adopt_model().version_id
    return site.registry.find_model(model_fact(site.manifest)) or backfills.NO_MODEL


def list_backfills(settings: Settings, *, as_json: bool) -> None:
    """Every back-fill, the newest first."""
    with reading(_existing(settings).engine) as connection:
        entries = backfills.entries(connection)
    if as_json:
        print_json({"backfills": [_as_json(entry) for entry in entries]})
        return
    for entry in entries:
        click.echo(
            f"{entry.id}: {entry.state}, {entry.queued:,} studies queued for {entry.model}; "
            f"{_told(entry.selection)}{_limits(entry.pace)}; started {entry.created_at:%Y-%m-%d %H:%M} UTC"
        )
    if not entries:
        click.echo("There is no back-fill yet: `nightread backfill` starts one.")


def pause_backfill(settings: Settings, backfill_id: int) -> None:
    """Queue no more of a back-fill."""
    engine = _existing(settings).engine
    with writing(engine) as connection:
        turned = backfills.pause(connection, backfill_id, actor=OPERATOR)
    _confirm(engine, backfill_id, turned, "paused; what waits already is still worked on")


def resume_backfill(settings: Settings, backfill_id: int) -> None:
    """Let a paused back-fill go on."""
    engine = _existing(settings).engine
    with writing(engine) as connection:
        turned = backfills.resume(connection, backfill_id, actor=OPERATOR)
    _confirm(engine, backfill_id, turned, "running again")


def local_offset(now: datetime) -> timedelta:
    """How far this machine's clock is ahead of UTC."""
    return now.astimezone().utcoffset() or timedelta(0)


def _existing(settings: Settings) -> Site:
    site = Site(settings=settings)
    site.require_ledger()
    return site


def _pace(wanted: Wanted) -> Pace:
    if not wanted.window:
        return Pace(per_hour=wanted.per_hour, window=None)
    window = Window.parse(wanted.window)
    if window is None:
        raise UsageError(f"the window {wanted.window!r} is none; give two different times, as in 20:00-06:00")
    return Pace(per_hour=wanted.per_hour, window=window.shifted(-local_offset(datetime.now(UTC))))


def _selection(wanted: Wanted) -> Selection:
    if wanted.first_date and wanted.last_date and wanted.first_date > wanted.last_date:
        raise UsageError(f"--from {wanted.first_date} is after --to {wanted.last_date}: no study is of both")
    return Selection(
        first_date=wanted.first_date,
        last_date=wanted.last_date,
        modalities=tuple(sorted({modality.upper() for modality in wanted.modalities})),
        named=wanted.file is not None,
    )


def _named(engine: Engine, file: Path) -> list[int]:
    """The studies that the file names; tells which of its lines name none."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"the selection {str(file)!r} cannot be read: {error.strerror}") from error
    uids = {line.strip(): number for number, line in reversed(list(enumerate(lines, 1))) if line.strip()}
    with reading(engine) as connection:
        found = dict(backfills.studies(connection, uids))
    unknown = sorted(uids[uid] for uid, study_id in found.items() if study_id is None)
    known = sorted(study_id for study_id in found.values() if study_id is not None)
    if not known:
        raise UsageError(
            f"the selection {str(file)!r} names no study of the ledger; give one Study Instance UID a line"
        )
    if unknown:
        click.echo(
            f"nightread: {len(unknown):,} of {len(uids):,} named studies are not in the ledger and left out: "
            f"line {', '.join(map(str, unknown[:LINES_SHOWN]))}{', …' if len(unknown) > LINES_SHOWN else ''}",
            err=True,
        )
    return known


def _tell(model: str, counted: SelectionCount, pace: Pace) -> None:
    rest = counted.selected - counted.to_queue - counted.seen - counted.waiting
    click.echo(
        f"{counted.selected:,} studies selected = {counted.to_queue:,} not processed by {model} "
        f"+ {counted.seen:,} seen by it + {counted.waiting:,} waiting + {rest:,} without an image or not released"
    )
    if counted.to_queue and _limits(pace):
        click.echo(f"The limits are{_limits(pace).replace(';', '', 1)}.")


def _tell_start(backfill_id: int, fed: Fed) -> None:
    if fed.finished:
        click.echo(f"Back-fill {backfill_id} has queued all; the fleet, or the next `nightread run`, takes them.")
        return
    click.echo(
        f"Back-fill {backfill_id} is running: {fed.queued:,} are queued, the fleet's beat queues the rest; "
        f"`nightread backfill --pause {backfill_id}` stops that."
    )


def _limits(pace: Pace) -> str:
    """The rate and the window, on both clocks."""
    told = f"; {pace.per_hour:,} an hour at most" if pace.per_hour else ""
    if pace.window:
        local = pace.window.shifted(local_offset(datetime.now(UTC)))
        told += f"; from {str(local).replace('-', ' to ')} here ({pace.window} UTC)"
    return told


def _told(selection: Selection) -> str:
    parts = [
        "named studies" if selection.named else "all studies",
        f"from {selection.first_date}" if selection.first_date else "",
        f"to {selection.last_date}" if selection.last_date else "",
        f"of {', '.join(selection.modalities)}" if selection.modalities else "",
    ]
    return " ".join(part for part in parts if part)


def _confirm(engine: Engine, backfill_id: int, turned: bool, told: str) -> None:
    if turned:
        click.echo(f"Back-fill {backfill_id} is {told}.")
        return
    with reading(engine) as connection:
        entries = backfills.entries(connection, backfill_id=backfill_id)
    if not entries:
        raise UsageError(f"there is no back-fill {backfill_id}; `nightread backfill --list` shows all")
    click.echo(f"Back-fill {backfill_id} is {entries[0].state}; nothing was changed.")


def _as_json(entry: BackfillEntry) -> dict[str, object]:
    window = entry.pace.window
    return {
        **{name: getattr(entry, name) for name in ("id", "state", "actor", "model", "queued")},
        "selection": entry.selection.as_json(),
        "per_hour": entry.pace.per_hour,
        "window_utc": str(window) if window else None,
        "created_at": entry.created_at,
        "finished_at": entry.finished_at,
    }
