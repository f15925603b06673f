"""The pulse of one process: when its work last moved, what it has in hand, and a row in the ledger that says so.

The work calls `moved` and `working`; a thread of its own writes the row, so that neither long work nor a database
that is away holds the other up. Nobody's work depends on the row. What is told of the work is a word or two and
counts, never a key or a name.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import structlog
from sqlalchemy import Connection, Engine

from db import workers
from db.engine import writing
from db.errors import DatabaseError

BEAT_SECONDS = 10.0
FAREWELL_SECONDS = 5.0  # most that a clean stop waits for the database

log = structlog.get_logger()


class Pulse:
    """Tells the ledger, and whoever asks for liveness, that work moves. Any thread may call any method."""

    def __init__(
        self,
        engine: Engine,
        *,
        kind: str,
        name: str,
        stall_seconds: float,
        detail: Mapping[str, Any],
        beat_seconds: float = BEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` is kind:host:pid; `detail` says what hardly changes, such as device and model."""
        self.kind, self.name, self.stall_seconds = kind, name, stall_seconds
        self._engine, self._detail = engine, dict(detail)
        self._beat_seconds, self._clock = beat_seconds, clock
        self._lock = threading.Lock()
        self._started = self._moved_at = clock()
        self._settled = 0
        self._in_hand: list[str] = []
        self._is_away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def moved(self, settled: int = 0) -> None:
        """Work moved on; `settled` more objects, studies or events are done."""
        with self._lock:
            self._moved_at = self._clock()
            self._settled += settled

    def tell(self, **detail: Any) -> None:
        """What is said of this process from now on, beside what was said before."""
        with self._lock:
            self._detail |= detail

    def begin(self, what: str) -> None:
        """Something is in hand from now on, told in a word or two."""
        with self._lock:
            self._moved_at = self._clock()
            self._in_hand.append(what)

    def end(self, what: str) -> None:
        """It is no more."""
        with self._lock:
            self._moved_at = self._clock()
            self._in_hand.remove(what)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """The block is what is in hand."""
        self.begin(what)
        try:
            yield
        finally:
            self.end(what)

    @property
    def still_seconds(self) -> float:
        """How long nothing has moved."""
        with self._lock:
            return self._clock() - self._moved_at

    @property
    def in_hand(self) -> str:
        """What is worked on now; "" when nothing is."""
        with self._lock:
            return self._in_hand[-1] if self._in_hand else ""

    def start(self) -> None:
        """Begin to tell the ledger."""
        self._thread.start()

    def stop(self) -> None:
        """Take leave: the row goes, if the database answers soon."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(FAREWELL_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        self._write(workers.prune)
        while True:
            self._write(self._tell)
            if self._stop.wait(self._beat_seconds):
                break
        self._write(lambda connection: workers.forget(connection, self.name))

    def _tell(self, connection: Connection) -> None:
        with self._lock:
            still, settled = self._clock() - self._moved_at, self._settled
            age, now = self._clock() - self._started, self._in_hand[-1:]
            detail = dict(self._detail)
        workers.tell(
            connection,
            name=self.name,
            kind=self.kind,
            age_seconds=age,
            settled=settled,
            detail={**detail, "now": now[0] if now else "", "still_seconds": round(still, 1)},
        )

    def _write(self, statement: Callable[[Connection], object]) -> None:
        """Do it in one transaction; a database that is away is told once, and once that it is back."""
        try:
            with writing(self._engine) as connection:
                statement(connection)
        except DatabaseError as error:
            if not self._is_away:
                log.warning("heartbeat_not_written", reason=str(error))
            self._is_away = True
        else:
            if self._is_away:
                log.info("heartbeat_written_again")
            self._is_away = False
