"""The meters of one process, which its steps and drivers move. `metric_names` says what each means.

One `Metrics` is built per process and passed in. Moving a meter takes microseconds and never raises. Knows no
database: what is read from the ledger at a scrape is in `ledger_gauges`.
"""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector

from db.records import ObjectState, RevisionState
from worker.metric_names import METRICS, EventOutcome, Metric, Queue, ShadowOutcome, Stage, TrainingOutcome

_OPEN = (ObjectState.PENDING, RevisionState.WAITING)  # states of work that was put off


class Metrics:
    """What this process did so far."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._settled = self.counter("nightread_settled")
        self._events = self.counter("nightread_events")
        self._missed = self.counter("nightread_missed_events")
        self._retries = self.counter("nightread_retries")
        self._dead = self.counter("nightread_dead")
        self._expired = self.counter("nightread_leases_expired")
        self._given_up = self.counter("nightread_given_up")
        self._changes = self.counter("nightread_champion_changes")
        self._shadowed = self.counter("nightread_shadow_studies")
        self._trainings = self.counter("nightread_trainings")
        self._seconds = self._histogram("nightread_stage_seconds")
        self._sizes = self._histogram("nightread_batch_size")

    def settled(self, queue: Queue, states: Iterable[ObjectState | RevisionState]) -> None:
        """A batch was settled with these states; those still open count as retries."""
        for state, count in Tally(states).items():
            if state in _OPEN:
                self._retries.labels(queue).inc(count)
                continue
            self._settled.labels(queue, state.value).inc(count)
            if state in (ObjectState.FAILED, RevisionState.FAILED):
                self._dead.labels(queue).inc(count)

    def event(self, outcome: EventOutcome, count: int = 1) -> None:
        """Bucket events were dealt with."""
        self._events.labels(outcome).inc(count)

    def missed_events(self, count: int) -> None:
        """A listing found objects that no event had told of."""
        self._missed.inc(count)

    def leases_expired(self, queue: Queue, count: int) -> None:
        """Leases ran out under their workers."""
        self._expired.labels(queue).inc(count)

    def given_up(self, queue: Queue, count: int) -> None:
        """Work was failed because workers died over it; it counts as dead too."""
        self._given_up.labels(queue).inc(count)
        self._dead.labels(queue).inc(count)

    def model_changed(self, *, taken: bool) -> None:
        """A captioner took another model, or could not."""
        self._changes.labels("taken" if taken else "failed").inc()

    def shadowed(self, outcome: ShadowOutcome, count: int) -> None:
        """A model on trial dealt with studies."""
        if count:
            self._shadowed.labels(outcome).inc(count)

    def trained(self, outcome: TrainingOutcome) -> None:
        """A training run ended."""
        self._trainings.labels(outcome).inc()

    def batch(self, stage: Stage, size: int) -> None:
        """A stage took so many at once."""
        self._sizes.labels(stage).observe(size)

    def took(self, stage: Stage, seconds: float) -> None:
        """A stage took so long."""
        self._seconds.labels(stage).observe(seconds)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Time the block as a stage, however it ends."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.took(stage, time.perf_counter() - begun)

    def watch_gpu_memory(self, read: Mapping[str, Callable[[], float]]) -> None:
        """Ask these functions (`used`, `total`: bytes) at each scrape."""
        gauge = self.gauge("nightread_gpu_memory_bytes")
        for state, function in read.items():
            gauge.labels(state).set_function(function)

    def gauge(self, name: str) -> Gauge:
        """A new gauge of the table, for the one part of the program that moves it."""
        metric = metric_named(name)
        return Gauge(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def counter(self, name: str) -> Counter:
        """A new counter of the table, for the one part of the program that moves it."""
        metric = metric_named(name)
        return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        metric = metric_named(name)
        return Histogram(
            metric.name, metric.meaning, metric.labels, buckets=metric.buckets, registry=self.registry
        )


def metric_named(name: str) -> Metric:
    """The table's row of this name."""
    return next(metric for metric in METRICS if metric.name == name)
