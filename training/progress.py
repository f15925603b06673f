"""How far a run is: a bar in a terminal, else a log line at times. Everything goes to stderr."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)
LOG_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Where a run is."""

    epoch: int  # counted from 0
    epochs: int
    batch: int  # done in this epoch
    batches: int
    loss: float  # of the last update
    best: float | None  # score so far


class _Lines:
    """For machines: a line at most every `LOG_SECONDS`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next = time.monotonic() + LOG_SECONDS

    def __call__(self, now: Moment) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOG_SECONDS
        place = f"epoch {now.epoch + 1} of {now.epochs}, batch {now.batch} of {now.batches}"
        log.info("%s: %s, loss %.4f", self._name, place, now.loss)


@contextmanager
def progress_shown(name: str, *, quietly: bool) -> Iterator[Callable[[Moment], None]]:
    """Shows the moments it is given; `quietly` shows nothing."""
    console = Console(stderr=True)
    if quietly:
        yield lambda _: None
        return
    if not console.is_terminal:
        yield _Lines(name)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console)
    task = bar.add_task(name, total=None)

    def show(now: Moment) -> None:
        best = "" if now.best is None else f" best {now.best:.4f}"
        title = f"{name} epoch {now.epoch + 1}/{now.epochs} loss {now.loss:.4f}{best}"
        bar.update(task, description=title, completed=now.batch, total=now.batches)

    with bar:
        yield show
