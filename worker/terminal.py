"""What a person sees in a terminal: progress, the balance, reports. Results go to stdout, progress to stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from db.records import Balance, Reason
from worker import local

LOG_SECONDS = 30.0
DRAFT = "Drafts for a radiologist. Not a diagnosis."
OBJECT_STATES = ("converted", "skipped", "failed", "waiting")
STUDY_STATES = ("reported", "skipped", "failed", "waiting", "working")

log = structlog.get_logger()


class _TimeLeft(ProgressColumn):
    """Time left at this run's own rate: the bar's rate would count what earlier runs did."""

    def render(self, task: Task) -> Text:
        rate = task.fields["rate"]
        if not rate or task.total is None:
            return Text("–:––:–– left")
        minutes, seconds = divmod(int((task.total - task.completed) / rate), 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"{hours}:{minutes:02}:{seconds:02} left")


class _ProgressLog:
    """The same for machines: an event at most every `LOG_SECONDS`."""

    def __init__(self) -> None:
        self._next = LOG_SECONDS

    def __call__(self, now: local.Progress) -> None:
        if now.seconds >= self._next:
            self._next = now.seconds + LOG_SECONDS
            log.info("progress", done=now.studies_done, known=now.studies_known, failed=now.failed)


@contextmanager
def progress_shown(*, quietly: bool) -> Iterator[Callable[[local.Progress], None]]:
    """Shows the progress it is given: a bar where stderr is a terminal, else or `quietly` a log line at times."""
    console = Console(stderr=True)
    if quietly or not console.is_terminal:
        yield _ProgressLog()
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,}/{task.total:,} studies"),
        TextColumn("{task.fields[rate]:.1f}/s"),
        _TimeLeft(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[failed]} failed", style="red"),
        console=console,
    )
    task = bar.add_task("listing", total=0, rate=0.0, failed=0)

    def show(now: local.Progress) -> None:
        bar.update(
            task,
            description=f"{now.listed:,} objects",
            completed=now.studies_done,
            total=now.studies_known,
            rate=now.settled / now.seconds if now.seconds else 0.0,
            failed=now.failed,
        )

    with bar:
        yield show


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def balance_as_json(balance: Balance) -> dict[str, Any]:
    """The balance for machines."""
    return asdict(balance)


def print_balance(balance: Balance) -> None:
    """The two sums, and every reason behind them."""
    console = Console()
    console.print(_sum("objects seen", balance.objects, OBJECT_STATES))
    console.print(_sum("studies", balance.studies, STUDY_STATES))
    _print_reasons(console, "object", balance.object_reasons)
    _print_reasons(console, "study", balance.study_reasons)


def print_report(*, heading: str, findings: str, impression: str, confidence: float, model: str) -> None:
    """One draft, as a radiologist reads it."""
    console = Console(width=min(100, Console().width), highlight=False, markup=False)
    console.print(f"\n{heading}", style="bold")
    console.print("FINDINGS", style="cyan")
    console.print(findings or "(none written)")
    console.print("IMPRESSION", style="cyan")
    console.print(impression or "(none written)")
    console.print(f"DRAFT by {model}, mean log-probability {confidence:.3f}. Not a diagnosis.", style="dim")


def _sum(what: str, counts: dict[str, int], states: Iterable[str]) -> str:
    shown = [state for state in states if counts[state] or state not in ("waiting", "working")]
    terms = " + ".join(f"{counts[state]:,} {state}" for state in shown)
    return f"{sum(counts.values()):,} {what} = {terms}"


def _print_reasons(console: Console, what: str, reasons: tuple[Reason, ...]) -> None:
    if not reasons:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(what)
    table.add_column("n", justify="right")
    table.add_column("reason")
    for reason in reasons:
        table.add_row(reason.state, str(reason.count), Text(reason.reason))
    console.print(table)
