"""The converting processes: kept busy, watched, replaced when they die.

Why not `ProcessPoolExecutor`: there one dead process breaks the whole pool, and nothing tells which object killed
it. Here each process has a pipe of its own, so the object in hand is known, ends with a reason, and its neighbours
go to the replacement.
"""

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import structlog

from db.records import ObjectOutcome, ObjectState, ObjectWork
from pipeline.errors import Unavailable
from pipeline.study import Preprocessing
from worker.converter import READY, ConverterSpec, serve
from worker.retry import delay_after

CRASHES_ALLOWED = 2  # a process that dies may have been killed by somebody else: try an object twice
STALLED = 300.0  # seconds of the clock in which an object must end, a slow download included

log = structlog.get_logger()


@dataclass(kw_only=True)
class _Converter:
    process: SpawnProcess
    pipe: Connection
    is_ready: bool = False  # it said so once it had everything it needs
    was_stalled: bool = False  # we ended it
    queue: deque[ObjectWork] = field(default_factory=deque)
    since: float = 0.0  # when the object in hand was begun

    @property
    def is_stalled(self) -> bool:
        return bool(self.queue) and time.monotonic() - self.since > STALLED


class ConverterPool:
    """Converts claimed objects in `processes` processes of their own."""

    def __init__(self, spec: ConverterSpec, *, processes: int, depth: int) -> None:
        """Start the processes; each is given work until it holds `depth` objects."""
        self._spec = spec
        self._depth = depth
        self._died_idle = 0
        self._converters = [self._start() for _ in range(processes)]

    @property
    def room(self) -> int:
        """How many more objects would be useful now; 0 while the processes have enough in hand.

        Asked for when half of it is used up: fetching work has a price too.
        """
        room = sum(max(0, self._depth - len(converter.queue)) for converter in self._converters)
        return room if 2 * room >= self._depth * len(self._converters) else 0

    @property
    def in_hand(self) -> int:
        """Objects given that have no outcome yet."""
        return sum(len(converter.queue) for converter in self._converters)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes' ids, for whoever watches them."""
        return tuple(converter.process.pid or 0 for converter in self._converters)

    def submit(self, chunk: Sequence[ObjectWork]) -> None:
        """Share objects among the processes, the least busy first."""
        remaining = list(chunk)
        while remaining:
            converter = min(self._converters, key=lambda candidate: len(candidate.queue))
            take = max(1, min(len(remaining), self._depth - len(converter.queue)))
            self._give(converter, remaining[:take])
            del remaining[:take]

    def collect(self, timeout: float) -> list[ObjectOutcome]:
        """Outcomes that arrived; waits up to `timeout` seconds for the first."""
        outcomes: list[ObjectOutcome] = []
        by_pipe = {converter.pipe: converter for converter in self._converters}
        for pipe in wait(list(by_pipe), timeout):
            assert isinstance(pipe, Connection)
            outcomes += self._receive(by_pipe[pipe])
        for converter in [candidate for candidate in self._converters if candidate.is_stalled]:
            converter.was_stalled = True
            converter.process.kill()
        return outcomes

    def refit(self, preprocessing: Preprocessing) -> None:
        """Make views like this of whatever is submitted from now on."""
        self._spec = replace(self._spec, preprocessing=preprocessing)
        for converter in self._converters:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # dead: its successor is made so
                converter.pipe.send(preprocessing)

    def close(self) -> None:
        """End the processes; what they had in hand stays claimed and is freed with the leases."""
        for converter in self._converters:
            converter.pipe.close()
            converter.process.kill()
            converter.process.join()
            converter.process.close()
        self._converters = []

    def _give(self, converter: _Converter, chunk: list[ObjectWork]) -> None:
        if not converter.queue:
            converter.since = time.monotonic()
        converter.queue.extend(chunk)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # dead: `collect` passes the work on
            converter.pipe.send(chunk)

    def _receive(self, converter: _Converter) -> list[ObjectOutcome]:
        outcomes: list[ObjectOutcome] = []
        try:
            while converter.pipe.poll():
                message = converter.pipe.recv()
                converter.since = time.monotonic()
                if message == READY:
                    converter.is_ready = True
                    self._died_idle = 0
                    continue
                outcomes.append(message)
                converter.queue.popleft()
        except (EOFError, OSError):
            outcomes += self._replace(converter)
        return outcomes

    def _replace(self, dead: _Converter) -> list[ObjectOutcome]:
        dead.process.join()
        code = dead.process.exitcode or 0
        dead.pipe.close()
        dead.process.close()
        self._converters.remove(dead)
        fresh = self._start()
        self._converters.append(fresh)
        log.warning("converter_died", exit_code=code, object=dead.queue[0].object_id if dead.queue else None)
        if not (dead.is_ready and dead.queue):
            self._count_idle_death(code)
        culprit = dead.queue.popleft() if dead.is_ready and dead.queue else None
        if dead.queue:
            self._give(fresh, list(dead.queue))
        return [self._blame(culprit, code, stalled=dead.was_stalled)] if culprit else []

    def _count_idle_death(self, code: int) -> None:
        self._died_idle += 1
        if self._died_idle > len(self._converters):
            raise Unavailable(
                f"the converting processes end before any work (exit code {code}); run `nightread doctor`"
            )

    def _blame(self, work: ObjectWork, code: int, *, stalled: bool) -> ObjectOutcome:
        if stalled:
            return ObjectOutcome(
                object_id=work.object_id,
                state=ObjectState.PENDING,
                reason=f"it could not be read within {STALLED:.0f} s; a later run tries again",
                retry_in=delay_after(work.attempts),
            )
        if -code == signal.SIGXCPU:
            reason = f"converting it took more than {self._spec.object_seconds} s of CPU time; it was given up"
            return ObjectOutcome(object_id=work.object_id, state=ObjectState.FAILED, reason=reason)
        ending = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if work.attempts + 1 < CRASHES_ALLOWED:
            return ObjectOutcome(
                object_id=work.object_id,
                state=ObjectState.PENDING,
                reason=f"the converting process ended with {ending}",
                retry_in=0,
            )
        reason = f"converting it ended its process {CRASHES_ALLOWED} times, at last with {ending}"
        return ObjectOutcome(object_id=work.object_id, state=ObjectState.FAILED, reason=reason)

    def _start(self) -> _Converter:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self._spec), daemon=True)
        process.start()
        theirs.close()
        return _Converter(process=process, pipe=ours)
