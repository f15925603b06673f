"""Captioning: claims released revisions, batches them, settles them. One loop for the local run and the fleet.

It shares nothing with the converting half but the ledger and three events, so either may be ahead. The local run
has it in a thread, the fleet calls it for a slice at a time. It asks for its bench before each batch: one that was
begun at a bench is ended at it, so that another model may take over between two batches.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import structlog

from db.errors import DatabaseError
from db.lanes import Lanes
from db.ledger import Ledger
from db.records import RevisionOutcome, RevisionState, RevisionWork
from pipeline.errors import NightreadError, Unavailable
from pipeline.manifest import Accepts
from worker.metrics import Metrics
from worker.retry import Breaker
from worker.steps import Captions, Desk, Prepared, caption, prepare

IDLE = 0.2  # seconds between looks at an empty ledger

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What captioning needs, and the ids that its reports are stored under."""

    ledger: Ledger
    desk: Desk
    captioner: Captions
    accepts: Accepts
    model: str  # name and version, for reasons
    batch_size: int
    owner: str
    lease_seconds: float
    run_id: int
    model_version_id: int
    decoding_sha256: str
    device: str
    gpu_memory: Mapping[str, Callable[[], float]] = field(default_factory=dict)  # "used" and "total", in bytes
    lanes: Lanes | None = None  # how the lanes share this worker; None: oldest first
    metrics: Metrics = field(default_factory=Metrics)
    shadow: "Bench | None" = None  # of a model on trial, which captions what this one has reported


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    bench: Bench
    prepared: tuple[Prepared, ...]
    settled: tuple[RevisionOutcome, ...]  # those that ended before the model

    @property
    def size(self) -> int:
        return len(self.prepared) + len(self.settled)


OnSettled = Callable[[Bench, list[RevisionOutcome]], None]
OnShadow = Callable[[Bench, int], None]


class Captioning:
    """The loop of claim, load, caption and settle. While the model works on one batch, the next one is loaded."""

    def __init__(
        self,
        bench: Callable[[], Bench],
        *,
        on_settled: OnSettled,
        on_shadow: OnShadow = lambda _bench, _studies: None,
    ) -> None:
        """`bench` is asked before each batch; the others are called after each, in the thread that runs the loop.

        `on_shadow` is told how many studies a model on trial reported.
        """
        self._bench = bench
        self._on_shadow = on_shadow
        self._on_settled = on_settled
        self._breaker = Breaker()

    def run(self, *, limit: int | None, drain: Event, stop: Event, wake: Event) -> int:
        """Work until `limit` studies are settled, until `stop`, or, once `drain` is set, until none is left.

        Returns how many were settled. `wake` tells that there may be something new.
        """
        settled = 0
        with ThreadPoolExecutor(1, "prefetch") as loader:
            ahead = loader.submit(self._next, limit, stop)
            while not stop.is_set() and settled != limit:
                last = drain.is_set()  # looked at before the claim: what is released later is seen later
                batch = ahead.result()
                left = None if limit is None else limit - settled - batch.size
                ahead = loader.submit(self._next, left, stop)
                if batch.size:
                    settled += self._settle(batch)
                elif last and _is_empty(ahead):
                    break
                else:
                    wake.wait(IDLE)
                    wake.clear()
        return settled

    def _next(self, left: int | None, stop: Event) -> _Batch:
        bench = self._bench()
        limit = bench.batch_size if left is None else min(bench.batch_size, left)
        if limit <= 0 or stop.is_set():
            return _Batch(bench=bench, prepared=(), settled=())
        with bench.metrics.stage("claim"):
            claimed = bench.ledger.claim_revisions(
                owner=bench.owner, limit=limit, lease_seconds=bench.lease_seconds, lanes=bench.lanes
            )
        with bench.metrics.stage("load"):
            results = [prepare(bench.desk, work, accepts=bench.accepts, model=bench.model) for work in claimed]
        return _Batch(
            bench=bench,
            prepared=tuple(item for item in results if isinstance(item, Prepared)),
            settled=tuple(item for item in results if isinstance(item, RevisionOutcome)),
        )

    def _settle(self, batch: _Batch) -> int:
        bench, outcomes = batch.bench, list(batch.settled)
        if batch.prepared:
            bench.metrics.batch("caption", len(batch.prepared))
            with bench.metrics.stage("caption"):
                outcomes += caption(bench.captioner, batch.prepared)
        self._write(bench, outcomes)
        self._on_settled(bench, outcomes)
        if bench.shadow is not None:
            self._on_shadow(bench.shadow, follow(bench.shadow, batch.prepared, outcomes))
        self._check(outcomes)
        return len(outcomes)

    def _write(self, bench: Bench, outcomes: list[RevisionOutcome]) -> None:
        with bench.metrics.stage("settle"):
            bench.ledger.settle_revisions(
                outcomes,
                owner=bench.owner,
                run_id=bench.run_id,
                model_version_id=bench.model_version_id,
                decoding_sha256=bench.decoding_sha256,
            )
        bench.metrics.settled("caption", [outcome.state for outcome in outcomes])

    def _check(self, outcomes: list[RevisionOutcome]) -> None:
        for outcome in outcomes:
            self._breaker.record(failed=outcome.state in (RevisionState.FAILED, RevisionState.WAITING))
        if self._breaker.is_open:
            self._breaker.close()
            raise Unavailable(
                f"one study after the other failed, at last with {outcomes[-1].reason!r}: the fault is not "
                "theirs; mend it and `nightread retry`"
            )


def follow(shadow: Bench, batch: Sequence[Prepared], outcomes: Sequence[RevisionOutcome]) -> int:
    """Let a model on trial caption what the champion has just reported and settled; how many it reported.

    Whatever goes wrong is logged and counted, and costs the trial these studies: they are settled already, and no
    lease of ours is left that could be lost. A worker that dies meanwhile leaves them without a shadow's report.
    """
    reported = {outcome.revision_id for outcome in outcomes if outcome.state is RevisionState.REPORTED}
    works = [item.work for item in batch if item.work.revision_id in reported]
    if not works:
        return 0
    try:
        with shadow.metrics.stage("shadow"):
            written = _follow(shadow, works)
    except Exception as error:  # noqa: BLE001  # the boundary at which a trial's failure stays its own
        reason = str(error) if isinstance(error, NightreadError | DatabaseError) else type(error).__name__
        log.error("shadow_failed", model=shadow.model, studies=len(works), reason=reason)  # noqa: TRY400
        shadow.metrics.shadowed("failed", len(works))
        return 0
    shadow.metrics.shadowed("reported", written)
    shadow.metrics.shadowed("refused", len(works) - written)
    return written


def _follow(shadow: Bench, works: Sequence[RevisionWork]) -> int:
    """How many it reported; views of another preprocessing than the champion's are made here."""
    results = [prepare(shadow.desk, work, accepts=shadow.accepts, model=shadow.model) for work in works]
    told = caption(shadow.captioner, [item for item in results if isinstance(item, Prepared)])
    return shadow.ledger.write_shadows(
        told,
        owner=shadow.owner,
        run_id=shadow.run_id,
        model_version_id=shadow.model_version_id,
        decoding_sha256=shadow.decoding_sha256,
    )


def _is_empty(ahead: "Future[_Batch]") -> bool:
    return ahead.result().size == 0


class CaptionThread:
    """Captions in a thread until told that nothing more comes (`drain`) or that the run should end (`stop`)."""

    def __init__(
        self,
        bench: Bench,
        *,
        limit: int | None,
        on_settled: OnSettled,
        on_shadow: OnShadow = lambda _bench, _studies: None,
    ) -> None:
        """`limit`: most studies to settle; the others are called in the thread after each batch."""
        self._captioning = Captioning(lambda: bench, on_settled=on_settled, on_shadow=on_shadow)
        self._limit = limit
        self._drain, self._stop, self._wake = Event(), Event(), Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="caption", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Tell that something was released."""
        self._wake.set()

    def drain(self) -> None:
        """Tell that nothing more will be released: end when none is left."""
        self._drain.set()
        self._wake.set()

    def stop(self) -> None:
        """Finish the batch in hand and end."""
        self._stop.set()
        self._wake.set()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end; returns at once where it was never started."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def raise_error(self) -> None:
        """Raise here what ended the thread, if anything did."""
        if self._error:
            raise self._error

    @property
    def is_running(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._captioning.run(limit=self._limit, drain=self._drain, stop=self._stop, wake=self._wake)
        except BaseException as error:  # noqa: BLE001  # handed to the main thread, which raises it
            self._error = error
