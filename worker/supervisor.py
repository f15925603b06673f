"""`nightread up`: the fleet's processes on one machine, started together, each started anew when it dies, drained.

Knows nothing of their work. They share nothing with it but the environment: what one of them holds when it dies is
freed by its leases. Runs in the main thread, because signals and the children's ties need that.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from subprocess import Popen
from types import FrameType
from typing import Self

import structlog

from pipeline.errors import UsageError
from worker import child
from worker.health import Answer
from worker.health_server import health_served
from worker.metrics import Metrics

PROGRAM = (sys.executable, "-m", "worker")
PORT_VARIABLE = "NIGHTREAD_METRICS_PORT"
LAST_PORT = 65535
STILL_SECONDS = 10.0  # a loop that has not turned for so long hangs

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One process to keep running."""

    kind: str  # intake, convert, caption or beat; for logs and metrics
    arguments: tuple[str, ...]  # after the program, as in ("worker", "convert")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How patient the supervisor is, in seconds."""

    first: float = 1.0  # before the first new start; doubles with each
    longest: float = 30.0
    healthy: float = 60.0  # who lived so long starts from `first` again
    grace: float = 60.0  # for a drain
    look: float = 0.1  # between looks at the processes


@dataclass(kw_only=True, slots=True)
class Place:
    """Where one process runs, again and again."""

    name: str  # the kind, numbered from the second of a kind on
    kind: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    deaths: int = 0  # in a row, without a healthy life between
    process: "Popen[bytes] | None" = None
    started: float = 0.0
    due: float = 0.0  # when to start next

    @property
    def pid(self) -> int:
        """Of the process that runs, and of its group."""
        assert self.process is not None
        return self.process.pid


@dataclass(slots=True)
class Signals:
    """How often we were asked to end."""

    count: int = 0

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self.count += 1


def run_fleet(
    commands: Sequence[Command],
    *,
    port: int = 0,
    program: Sequence[str] = PROGRAM,
    environment: Mapping[str, str] | None = None,
    pace: Pace | None = None,
) -> int:
    """Keep the commands running until SIGTERM or SIGINT, then drain; 1 when some had to be killed, else 0.

    Args:
        commands: What to run.
        port: Where the health of all is served; each process is given one of the next ports. 0 is none.
        program: What the arguments are given to; begins with an absolute path.
        environment: Of the processes. [default: this one's]
        pace: How patient to be.

    Raises:
        UsageError: A port cannot be had.
    """
    _require_ports(port, len(commands))
    metrics = Metrics()
    places = _places(commands, port, program, os.environ if environment is None else environment)
    fleet = Fleet(places, pace=pace or Pace(), metrics=metrics)
    served = health_served(port, metrics.registry, live=fleet.live, ready=fleet.ready)
    with served, _signals_caught() as signals, fleet:
        while not signals.count:
            fleet.look()
            time.sleep(fleet.pace.look)
        return 0 if fleet.drain(signals) else 1


class Fleet:
    """The processes, each in its place."""

    def __init__(self, places: Sequence[Place], *, pace: Pace, metrics: Metrics) -> None:
        self.places, self.pace = places, pace
        self._turned = time.monotonic()
        self._deaths = metrics.counter("nightread_process_deaths")
        running = metrics.gauge("nightread_processes")
        for kind in {place.kind for place in places}:
            running.labels(kind).set_function(partial(self._count, kind))

    def __enter__(self) -> Self:
        self._keeper = child.Keeper()
        return self

    def __exit__(self, *_error: object) -> None:
        """Whatever ended us, nobody stays: the keeper ends those that are left."""
        self._keeper.close()

    def look(self) -> None:
        """Start what is due, and notice who died."""
        self._turned = time.monotonic()
        self._keeper.revive()
        for place in self.places:
            if place.process is None and place.due <= time.monotonic():
                self._start(place)
            elif place.process is not None and place.process.poll() is not None:
                self._bury(place)

    def drain(self, signals: Signals) -> bool:
        """Ask all to end; whether they did by themselves. One more signal, or the grace, ends the wait."""
        asked, until = signals.count, time.monotonic() + self.pace.grace
        log.info("draining", processes=sum(place.process is not None for place in self.places))
        for place in self.places:
            if place.process is not None:
                place.process.terminate()  # the leader alone: it decides what its converting processes finish
        while self._left() and signals.count == asked and time.monotonic() < until:
            self._turned = time.monotonic()
            time.sleep(self.pace.look)
        killed = self._left()
        for place in killed:
            log.warning("process_killed", kind=place.kind, pid=place.pid)
            self._end(place)
        return not killed

    def live(self) -> Answer:
        """Our own loop turns; how the processes do is for `ready` and for their own ports."""
        still = time.monotonic() - self._turned
        body = {"live": still < STILL_SECONDS, "why": f"the loop turned {still:.0f} s ago", "kind": "up"}
        return Answer(ok=still < STILL_SECONDS, body=body)

    def ready(self) -> Answer:
        """Every process runs; whether each is ready tells its own port."""
        checks = {place.name: "ok" if place.process else "it died and is started anew" for place in self.places}
        is_ready = all(place.process for place in self.places)
        return Answer(ok=is_ready, body={"ready": is_ready, "checks": checks})

    def _start(self, place: Place) -> None:
        place.process = child.start(place.command, place.environment)
        place.started = time.monotonic()
        self._keeper.add(place.pid)
        log.info("process_started", kind=place.kind, pid=place.pid)

    def _bury(self, place: Place) -> None:
        lived = time.monotonic() - place.started
        code = self._end(place)
        place.deaths = 0 if lived >= self.pace.healthy else place.deaths
        delay = min(self.pace.first * (1 << min(place.deaths, 16)), self.pace.longest)
        place.due, place.deaths = time.monotonic() + delay, place.deaths + 1
        self._deaths.labels(place.kind).inc()
        log.warning("process_died", kind=place.kind, exit_code=code, lived_seconds=round(lived, 1), next_in=delay)

    def _end(self, place: Place) -> int:
        """Its group ends with it; the exit code, negative for a signal."""
        assert place.process is not None
        group = place.pid
        child.sweep(group)  # the leader is killed here if it still lives
        code = place.process.wait()
        child.sweep(group)
        self._keeper.remove(group)
        place.process = None
        return code

    def _left(self) -> list[Place]:
        """Those that still run; those that ended are buried without a new start."""
        for place in self.places:
            if place.process is not None and place.process.poll() is not None:
                log.info("process_ended", kind=place.kind, exit_code=self._end(place))
        return [place for place in self.places if place.process is not None]

    def _count(self, kind: str) -> int:
        return sum(place.process is not None for place in self.places if place.kind == kind)


def _places(
    commands: Sequence[Command], port: int, program: Sequence[str], environment: Mapping[str, str]
) -> list[Place]:
    places = []
    for number, command in enumerate(commands, 1):
        same = sum(earlier.kind == command.kind for earlier in commands[:number])
        places.append(
            Place(
                name=command.kind if same == 1 else f"{command.kind} {same}",
                kind=command.kind,
                command=(*program, *command.arguments),
                environment={**environment, **({PORT_VARIABLE: str(port + number)} if port else {})},
            )
        )
    return places


def _require_ports(port: int, processes: int) -> None:
    if port and port + processes > LAST_PORT:
        raise UsageError(
            f"{PORT_VARIABLE}={port} leaves no port for each of {processes} processes; "
            f"set it to {LAST_PORT - processes} or less, or to 0 for none"
        )


@contextmanager
def _signals_caught() -> Iterator[Signals]:
    """A terminal that closes asks like Ctrl-C does, unless we were told to outlive it (nohup)."""
    signals = Signals()
    wanted = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted.append(signal.SIGHUP)
    before = {number: signal.signal(number, signals.ask) for number in wanted}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
