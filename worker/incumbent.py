"""The incumbent: which bench a captioner works at, while the registry's aliases may point elsewhere at any moment.

A thread looks every few seconds, by one small query. It loads a new champion while the old one works on, so both
are in memory for that time; the next batch is the new one's, and the batch in hand ends where it was begun. A
model that cannot be had is logged, counted and tried again later: the old one works on. The same for the shadow,
whose absence harms nobody.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Event, Lock, Thread

import structlog

from db.aliases import CHAMPION, SHADOW
from db.errors import DatabaseError
from pipeline.errors import NightreadError
from worker.captioning import Bench
from worker.local import Throughput
from worker.metrics import Metrics

LOOK_SECONDS = 15.0
LONGEST_PAUSE = 300.0  # seconds before a model that could not be had is tried again

log = structlog.get_logger()

Close = Callable[[int, Throughput], None]


class Incumbent:
    """The bench of one captioner. `bench` and `count` are called by the loop, `look` by the thread."""

    def __init__(
        self,
        first: Bench,
        *,
        aliases: Callable[[], Mapping[str, int]],
        load: Callable[[int, str], Bench],
        close_run: Close,
        metrics: Metrics,
        on_change: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`load` gives a bench for a version and a trigger; `close_run` is told what a run has captioned."""
        self._bench = first
        self._aliases, self._load, self._close_run = aliases, load, close_run
        self._metrics, self._on_change, self._clock = metrics, on_change, clock
        self._lock = Lock()
        self._captioned = {first.run_id: Throughput()}
        self._failures: dict[int, tuple[int, float]] = {}  # version -> attempts, not again before
        self._stop = Event()
        self._thread = Thread(target=self._run, name="incumbent", daemon=True)

    @property
    def bench(self) -> Bench:
        """Where the next batch is to be captioned."""
        with self._lock:
            return self._bench

    def count(self, bench: Bench, studies: int) -> None:
        """So many were settled at a bench; the last batch of one that was left closes its run anew."""
        self._captioned[bench.run_id].count(studies)
        if bench.run_id not in _runs(self.bench):
            self._close(bench)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more, and close the runs that are open."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        for run_id in _runs(self.bench):
            self._close_run(run_id, self._captioned[run_id])

    def look(self) -> None:
        """Take what the aliases point at now, if it is another model than before."""
        held = self._aliases()
        bench = self.bench
        champion = held.get(CHAMPION, bench.model_version_id)
        if champion != bench.model_version_id and (taken := self._take(champion, "live")):
            log.info("champion_taken", model=taken.model, was=bench.model)
            self._turn(replace(taken, shadow=bench.shadow))
            self._close(bench)
            self._on_change(taken.model)
        self._look_at_shadow(held.get(SHADOW))

    def _look_at_shadow(self, wanted: int | None) -> None:
        bench = self.bench
        if wanted == bench.model_version_id:
            wanted = None
        was = bench.shadow
        if wanted == (was.model_version_id if was else None):
            return
        taken = None if wanted is None else self._take(wanted, "shadow")
        if wanted is not None and taken is None and was is None:
            return
        log.info("shadow_taken", model=taken.model if taken else "none")
        self._turn(replace(bench, shadow=taken))
        if was is not None:
            self._close(was)

    def _take(self, version_id: int, trigger: str) -> Bench | None:
        """The version's bench; None while it cannot be had."""
        attempts, not_before = self._failures.get(version_id, (0, 0.0))
        if self._clock() < not_before:
            return None
        try:
            bench = self._load(version_id, trigger)
        except Exception as error:  # noqa: BLE001  # whatever ails a new model, the old one must work on
            pause = min(LOOK_SECONDS * 2**attempts, LONGEST_PAUSE)
            self._failures[version_id] = (attempts + 1, self._clock() + pause)
            known = isinstance(error, NightreadError | DatabaseError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            log.error("model_not_taken", version=version_id, trigger=trigger, reason=reason)  # noqa: TRY400
            self._metrics.model_changed(taken=False)
            return None
        self._failures.pop(version_id, None)
        self._metrics.model_changed(taken=True)
        self._captioned[bench.run_id] = Throughput()
        return bench

    def _close(self, bench: Bench) -> None:
        self._close_run(bench.run_id, self._captioned[bench.run_id])

    def _turn(self, bench: Bench) -> None:
        with self._lock:
            self._bench = bench

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # the thread must live: without it no champion is taken
                reason = str(error) if isinstance(error, DatabaseError) else type(error).__name__
                log.warning("aliases_not_read", reason=reason)


def _runs(bench: Bench) -> tuple[int, ...]:
    return (bench.run_id, *((bench.shadow.run_id,) if bench.shadow else ()))
