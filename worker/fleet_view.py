"""What `nightread status` tells of the fleet: queues, pauses, workers, what is left, how fast it goes, and until when.

Collected once, then shown to people in their own time zone or to machines in UTC. Changes nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from db.backlog import CAPTION, CONVERT, Backlog, Rate, backlog, finish, rate
from db.engine import reading
from db.pauses import Pause, paused
from db.workers import GONE_SECONDS, WorkerSeen, seen
from pipeline.errors import Unavailable
from worker.queue_depths import queue_depths, queue_names
from worker.settings import Settings

REMEMBERED_SECONDS = 3600.0  # a process that fell silent is told of for so long


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetView:
    """The fleet at one moment."""

    now: datetime
    queues: dict[str, int]  # messages ready, by queue
    broker: str  # "ok", "not set", or why it does not answer
    paused: tuple[Pause, ...]
    workers: tuple[WorkerSeen, ...]
    silent: tuple[WorkerSeen, ...]  # heard of in the last hour, but no more
    backlog: tuple[Backlog, ...]
    studies: Rate
    objects: Rate
    studies_left: int  # not released ones included

    @property
    def objects_left(self) -> int:
        """Objects that are not converted yet."""
        return sum(item.left for item in self.backlog if item.queue == CONVERT)

    @property
    def finish(self) -> datetime | None:
        """When all of it is done at the pace of the last minutes; None where that cannot be told."""
        if not (self.studies_left or self.objects_left):
            return None
        return finish(self.now, (self.studies_left, self.studies), (self.objects_left, self.objects))

    @property
    def is_fleet(self) -> bool:
        """Whether there is more to tell than a single run's ledger."""
        return bool(self.workers or self.silent or self.paused or self.broker != "not set")


def view_fleet(settings: Settings, engine: Engine, *, studies_left: int) -> FleetView:
    """Ask ledger and broker."""
    queues, broker = _queues(settings)
    with reading(engine) as connection:
        known = seen(connection, within_seconds=REMEMBERED_SECONDS)
        return FleetView(
            now=datetime.now(UTC),
            queues=queues,
            broker=broker,
            paused=paused(connection),
            workers=tuple(worker for worker in known if worker.seen_seconds <= GONE_SECONDS),
            silent=tuple(worker for worker in known if worker.seen_seconds > GONE_SECONDS),
            backlog=backlog(connection),
            studies=rate(connection, CAPTION),
            objects=rate(connection, CONVERT),
            studies_left=studies_left,
        )


def fleet_as_json(view: FleetView) -> dict[str, Any]:
    """The fleet for machines: times in UTC."""
    return {
        "queues": view.queues,
        "broker": view.broker,
        "paused": [_in_iso(asdict(pause)) for pause in view.paused],
        "workers": [_in_iso(asdict(worker)) | _place(worker) for worker in view.workers],
        "backlog": [asdict(item) for item in view.backlog],
        "rate": {"studies": asdict(view.studies), "objects": asdict(view.objects)},
        "finish": view.finish.isoformat(timespec="seconds") if view.finish else None,
    }


def print_fleet(view: FleetView) -> None:
    """The fleet for people; nothing where there is none."""
    if not view.is_fleet:
        return
    console = Console(highlight=False)
    console.print()
    for pause in view.paused:
        told = (
            f"{pause.queue} is PAUSED since {_clock(pause.paused_at, view.now)} by {pause.actor}: {pause.reason}"
        )
        console.print(Text(f"{told}; `nightread resume {pause.queue}` lets it go", style="yellow"))
    console.print(_work_table(view.backlog))
    console.print(Text(pace_in_words(view)))
    console.print()
    _print_workers(console, view)
    console.print(Text(_queues_in_words(view)))


def pace_in_words(view: FleetView) -> str:
    """How fast it goes, and when it is done."""
    pace = f"{view.studies.short:,} studies ended in ten minutes, {view.studies.long:,} in an hour."
    if not (view.studies_left or view.objects_left):
        return f"{pace} Nothing is left to do."
    if view.finish is None:
        return f"{pace} At this pace no end can be told."
    when = _clock(view.finish, view.now)
    if not view.studies_left:
        return f"{pace} At this rate {_number(view.objects_left, 'object')} left to convert are done at {when}."
    verb = "is" if view.studies_left == 1 else "are"
    told = (
        f"{pace} At this rate the night's {_number(view.studies_left, 'study', 'studies')} {verb} done at {when}"
    )
    more = f"; {_number(view.objects_left, 'object')} to convert may hold more" if view.objects_left else ""
    return f"{told}{more}."


def _queues(settings: Settings) -> tuple[dict[str, int], str]:
    url = settings.broker_url.get_secret_value()
    if not url:
        return {}, "not set"
    try:
        return queue_depths(url, queue_names(settings)), "ok"
    except Unavailable as error:
        return {}, str(error)


def _queues_in_words(view: FleetView) -> str:
    if view.broker == "not set":
        return "Messages: NIGHTREAD_BROKER_URL is not set here, so the queues cannot be asked."
    if view.broker != "ok":
        return f"Messages: the broker does not answer ({view.broker})."
    return "Messages: " + (", ".join(f"{name} {count:,}" for name, count in view.queues.items()) or "no queue yet")


def _work_table(left: Sequence[Backlog]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("left to do")
    for name in ("due", "working", "deferred", "oldest"):
        table.add_column(name, justify="right")
    for item in left:
        what = "objects to convert" if item.queue == CONVERT else f"studies, {item.lane}"
        oldest = in_words(item.oldest_seconds) if item.due else "–"
        table.add_row(what, f"{item.due:,}", f"{item.working:,}", f"{item.deferred:,}", oldest)
    return table


def _print_workers(console: Console, view: FleetView) -> None:
    if not view.workers:
        console.print("No worker is running.", style="yellow")
    else:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("worker", "host", "pid", "seen", "done", "now"):
            table.add_column(name, justify="right" if name in {"pid", "done"} else "left")
        for worker in view.workers:
            place = _place(worker)
            ago = f"{worker.seen_seconds:.0f} s ago"
            now = Text(str(worker.detail.get("now") or "idle"))
            table.add_row(worker.kind, place["host"], place["pid"], ago, f"{worker.settled:,}", now)
        console.print(table)
    for worker in view.silent:
        place, ago = _place(worker), in_words(worker.seen_seconds)
        told = f"{worker.kind} on {place['host']} (pid {place['pid']}) has been silent for {ago}: it was killed or cut off"
        console.print(Text(told, style="yellow"))


def _place(worker: WorkerSeen) -> dict[str, str]:
    host, _, pid = worker.name.removeprefix(f"{worker.kind}:").rpartition(":")
    return {"host": host, "pid": pid}


def in_words(seconds: float) -> str:
    """A duration, to two figures or so."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} d"


def _clock(then: datetime, now: datetime) -> str:
    """The local time, with its day when that is another."""
    local = then.astimezone()
    return f"{local:%H:%M}" if local.date() == now.astimezone().date() else f"{local:%H:%M on %a %d %b}"


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _in_iso(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for name, value in row.items()
    }
