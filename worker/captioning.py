"""The captioning half of the local run: a thread that claims released revisions, batches them, settles them.

It shares nothing with the converting half but the ledger and three events, so either may be ahead. While the
model works on one batch, the next one is claimed and its views are loaded.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from db.ledger import Ledger
from db.records import RevisionOutcome, RevisionState
from pipeline.errors import Unavailable
from pipeline.manifest import Accepts
from worker.retry import Breaker
from worker.steps import Captions, Desk, Prepared, caption, prepare

IDLE = 0.2  # seconds between looks at an empty ledger


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    prepared: tuple[Prepared, ...]
    settled: tuple[RevisionOutcome, ...]  # those that ended before the model

    @property
    def size(self) -> int:
        return len(self.prepared) + len(self.settled)


class CaptionThread:
    """Captions until told that nothing more will be released (`drain`) or that the run should end (`stop`)."""

    def __init__(self, bench: Bench, *, limit: int | None, on_settled: Callable[[int], None]) -> None:
        """`limit`: most studies to settle; `on_settled(n)` is called in the thread after each batch."""
        self._bench = bench
        self._left = limit
        self._on_settled = on_settled
        self._drain = threading.Event()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._breaker = Breaker()
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
            with ThreadPoolExecutor(1, "prefetch") as loader:
                self._work(loader)
        except BaseException as error:  # noqa: BLE001  # handed to the main thread, which raises it
            self._error = error

    def _work(self, loader: ThreadPoolExecutor) -> None:
        ahead = loader.submit(self._next)
        while not self._stop.is_set() and self._left != 0:
            last = self._drain.is_set()  # looked at before the claim: what is released later is seen later
            batch = ahead.result()
            ahead = loader.submit(self._next, batch.size)
            if batch.size:
                self._settle(batch)
            elif last and _is_empty(ahead):
                return
            else:
                self._wake.wait(IDLE)
                self._wake.clear()

    def _next(self, in_hand: int = 0) -> _Batch:
        bench = self._bench
        limit = bench.batch_size if self._left is None else min(bench.batch_size, self._left - in_hand)
        if limit <= 0 or self._stop.is_set():
            return _Batch(prepared=(), settled=())
        claimed = bench.ledger.claim_revisions(owner=bench.owner, limit=limit, lease_seconds=bench.lease_seconds)
        results = [prepare(bench.desk, work, accepts=bench.accepts, model=bench.model) for work in claimed]
        return _Batch(
            prepared=tuple(item for item in results if isinstance(item, Prepared)),
            settled=tuple(item for item in results if isinstance(item, RevisionOutcome)),
        )

    def _settle(self, batch: _Batch) -> None:
        bench = self._bench
        outcomes = [*batch.settled, *(caption(bench.captioner, batch.prepared) if batch.prepared else [])]
        bench.ledger.settle_revisions(
            outcomes,
            owner=bench.owner,
            run_id=bench.run_id,
            model_version_id=bench.model_version_id,
            decoding_sha256=bench.decoding_sha256,
        )
        if self._left is not None:
            self._left -= len(outcomes)
        self._on_settled(len(outcomes))
        self._check(outcomes)

    def _check(self, outcomes: list[RevisionOutcome]) -> None:
        for outcome in outcomes:
            self._breaker.record(failed=outcome.state in (RevisionState.FAILED, RevisionState.WAITING))
        if self._breaker.is_open:
            raise Unavailable(
                f"one study after the other failed, at last with {outcomes[-1].reason!r}: the fault is not "
                "theirs; mend it and `nightread retry`"
            )


def _is_empty(ahead: "Future[_Batch]") -> bool:
    return ahead.result().size == 0
