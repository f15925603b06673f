"""What `nightread status` tells of the fleet: queues, pauses, workers, what is left, and how long it takes.

Collected once, then shown to people in their own time zone or to machines in UTC. Changes nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from db.backlog import CAPTION, CONVERT, Backlog, Rate, backlog, finish, rate
from db.engine import reading
from db.pauses import Pause, paused
from db.workers import GONE_SECONDS, WorkerSeen, seen
from pipeline.errors import NightreadError
from worker import broker, queues
from worker.bounded import Bounded
from worker.settings import Settings

NO_BROKER = "not set"
PATIENCE_SECONDS = 2.0  # with the broker
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
    def held(self) -> tuple[str, ...]:
        """The paused queues that have work left."""
        left = {CONVERT: self.objects_left, CAPTION: self.studies_left}
        return tuple(pause.queue for pause in self.paused if left.get(pause.queue))

    @property
    def finish(self) -> datetime | None:
        """When all of it is done at the pace of the last minutes; None where that cannot be told."""
        if self.held or not (self.studies_left or self.objects_left):
            return None
        return finish(self.now, (self.studies_left, self.studies), (self.objects_left, self.objects))

    @property
    def is_fleet(self) -> bool:
        """Whether there is more to tell than a single run's ledger."""
        return bool(self.workers or self.silent or self.paused or self.broker != NO_BROKER)


def view_fleet(settings: Settings, engine: Engine, *, studies_left: int) -> FleetView:
    """Ask ledger and broker."""
    messages, told = _messages(settings)
    with reading(engine) as connection:
        known = seen(connection, within_seconds=REMEMBERED_SECONDS)
        return FleetView(
            now=datetime.now(UTC),
            queues=messages,
            broker=told,
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
        "rate": {"studies": _pace(view.studies), "objects": _pace(view.objects)},
        "finish": view.finish.isoformat(timespec="seconds") if view.finish else None,
    }


def print_fleet(view: FleetView) -> None:
    """The fleet for people; nothing where there is none."""
    if not view.is_fleet:
        return
    console = Console(highlight=False)
    console.print()
    for pause in view.paused:
        told = f"{pause.queue} is PAUSED since {_clock(pause.paused_at, view.now)} by {pause.actor}: "
        remedy = f"; `nightread resume {pause.queue}` lets it go"
        console.print(Text(told + pause.reason + remedy, style="yellow"))
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
    if view.held:
        return f"{pace} No end can be told while {' and '.join(view.held)} is paused."
    if view.finish is None:
        return f"{pace} At this pace no end can be told."
    when = _clock(view.finish, view.now)
    objects, studies = _number(view.objects_left, "object"), _number(view.studies_left, "study", "studies")
    if not view.studies_left:
        return f"{pace} At this rate the {objects} left to convert {_be(view.objects_left)} done at {when}."
    more = f"; {objects} to convert may hold more" if view.objects_left else ""
    return f"{pace} At this rate the night's {studies} {_be(view.studies_left)} done at {when}{more}."


def _messages(settings: Settings) -> tuple[dict[str, int], str]:
    url = settings.broker_url.get_secret_value()
    if not url:
        return {}, NO_BROKER
    ask = Bounded("queues", partial(broker.waiting, url, _names(settings)), seconds=PATIENCE_SECONDS)
    try:
        return ask(), "ok"
    except NightreadError as error:
        return {}, str(error)


def _names(settings: Settings) -> list[str]:
    return queues.names("" if settings.events_url.get_secret_value() else settings.events_queue)


def _queues_in_words(view: FleetView) -> str:
    if view.broker == NO_BROKER:
        return "Messages: NIGHTREAD_BROKER_URL is not set here, so the queues cannot be asked."
    if view.broker != "ok":
        return f"Messages: the broker does not answer ({view.broker})."
    depths = [f"{name.removeprefix('nightread.')} {count:,}" for name, count in view.queues.items()]
    return f"Messages: {', '.join(depths) or 'no queue yet'}"


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
        where = "{host} (pid {pid})".format(**_place(worker))
        told = f"{worker.kind} on {where} has been silent for {in_words(worker.seen_seconds)}: killed or cut off"
        console.print(Text(told, style="yellow"))


def _place(worker: WorkerSeen) -> dict[str, str]:
    host, _, pid = worker.name.removeprefix(f"{worker.kind}:").rpartition(":")
    return {"host": host, "pid": pid}


def in_words(seconds: float) -> str:
    """A duration, to two figures or so."""
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def _clock(then: datetime, now: datetime) -> str:
    """The local time, with its day when that is another."""
    local = then.astimezone()
    return f"{local:%H:%M}" if local.date() == now.astimezone().date() else f"{local:%H:%M on %a %d %b}"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _pace(speed: Rate) -> dict[str, float]:
    return {"ten_minutes": speed.short, "hour": speed.long, "per_second": round(speed.per_second, 4)}


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _in_iso(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for name, value in row.items()
    }
