"""The metrics that are read at a scrape: backlog, pauses and workers from the ledger, messages from the broker.

One process of a fleet shows them (the beat). A ledger that is away leaves them out instead of showing old figures.
A scrape never asks more often than every few seconds, nor for more than a twentieth of the time.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from db.backlog import CAPTION, CONVERT, Backlog, backlog
from db.engine import reading
from db.errors import DatabaseError
from db.pauses import Pause, paused
from db.trainings import unlearnt
from db.workers import WorkerSeen, seen
from pipeline.errors import NightreadError
from worker.bounded import Bounded
from worker.metrics import metric_named

KEPT_SECONDS = 5.0
PATIENCE_SECONDS = 3.0  # with a ledger or broker that does not answer; a scrape has ten seconds
SHARE = 20  # an answer that took a second is kept for so many


class LedgerGauges(Collector):
    """What is left and who works on it, for `registry.register`."""

    def __init__(
        self,
        engine: Engine,
        *,
        messages: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`messages` gives those ready in each queue of the broker; what it raises leaves them out."""
        self._engine, self._clock = engine, clock
        self._ask = Bounded("gauges", self._read, seconds=PATIENCE_SECONDS)
        self._ask_broker = Bounded("messages", messages, seconds=PATIENCE_SECONDS)
        self._kept: list[GaugeMetricFamily] = []
        self._kept_until = 0.0

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: describing must not ask the ledger."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges as they are now, or were a few seconds ago."""
        begun = self._clock()
        if begun >= self._kept_until:
            self._kept = [*self._of_ledger(), self._of_broker()]
            took = self._clock() - begun
            self._kept_until = begun + took + max(KEPT_SECONDS, SHARE * took)
        yield from self._kept

    def register(self, registry: CollectorRegistry) -> None:
        """Show the gauges with a process's metrics."""
        registry.register(self)

    def _of_ledger(self) -> list[GaugeMetricFamily]:
        up = family("nightread_ledger_up")
        try:
            left, held, known, verified = self._ask()
        except (DatabaseError, NightreadError):
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        workers = family("nightread_workers")
        for kind, count in Counter(item.kind for item in known).items():
            workers.add_metric([kind], count)
        pauses = family("nightread_queue_paused")
        for queue in (CONVERT, CAPTION):
            pauses.add_metric([queue], float(queue in {item.queue for item in held}))
        reports = family("nightread_unlearnt_reports")
        reports.add_metric([], verified)
        return [up, workers, pauses, reports, *_of_backlog(left)]

    def _read(self) -> tuple[tuple[Backlog, ...], tuple[Pause, ...], tuple[WorkerSeen, ...], int]:
        with reading(self._engine) as connection:
            return backlog(connection), paused(connection), seen(connection), unlearnt(connection)

    def _of_broker(self) -> GaugeMetricFamily:
        messages = family("nightread_messages")
        try:
            waiting = self._ask_broker()
        except NightreadError:
            return messages
        for queue, count in waiting.items():
            messages.add_metric([queue], count)
        return messages


def family(name: str) -> GaugeMetricFamily:
    """An empty gauge of the table."""
    metric = metric_named(name)
    return GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)


def _of_backlog(left: tuple[Backlog, ...]) -> list[GaugeMetricFamily]:
    read: dict[str, Callable[[Backlog], float]] = {
        "nightread_backlog": lambda item: item.due,
        "nightread_backlog_oldest_seconds": lambda item: item.oldest_seconds,
        "nightread_working": lambda item: item.working,
        "nightread_deferred": lambda item: item.deferred,
    }
    families = []
    for name, value in read.items():
        gauge = family(name)
        for item in left:
            gauge.add_metric([item.queue, item.lane], value(item))
        families.append(gauge)
    return families
