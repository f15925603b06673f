"""The listing that reconciles bucket and ledger, and so finds what no event told. One implementation, two drivers.

The beat walks it in slices, `nightread scan` to its end. The place lies in SQL: any process goes on where another
stopped or died. Memory holds one page, however many keys there are.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from db.errors import DatabaseError
from db.records import ListedObject
from db.scans import Scans, ScanWork
from pipeline.bucket import Bucket
from pipeline.errors import UsageError
from worker.bootstrap import Site, worker_name
from worker.terminal import print_json

PAGE = 1000  # objects of a transaction
LEASE_SECONDS = 120.0  # renewed with each page
ON_THE_WAY = timedelta(seconds=60)  # the event of a younger object may still come


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanProgress:
    """How far a scan has come."""

    seen: int  # objects, those of earlier slices included
    new: int  # of them, unknown to the ledger until then
    missed: int  # of this slice's new ones, those that an event should have told of
    expected: int | None  # objects that the last finished scan saw
    finished: bool


def scan_slice(
    scans: Scans,
    bucket: Bucket,
    *,
    owner: str,
    seconds: float | None,
    on_page: Callable[[ScanProgress], None] = lambda _: None,
) -> ScanProgress | None:
    """Walk the bucket's open scan, or a new one, for about so long; None goes to the end.

    Returns None while another process walks it. A first scan misses nothing: there is no event of what was there.

    Raises:
        ScanLost: It took so long over a page that another process went on.
    """
    work = scans.claim(bucket.name, bucket.prefix, owner=owner, lease_seconds=LEASE_SECONDS)
    if work is None:
        return None
    deadline = None if seconds is None else time.monotonic() + seconds
    progress = ScanProgress(seen=work.seen, new=work.new, missed=0, expected=work.expected, finished=False)
    try:
        for page in _pages(bucket, work.after_key):
            new = scans.record_page(work, page, owner=owner, lease_seconds=LEASE_SECONDS)
            progress = _advanced(progress, work, page, new)
            on_page(progress)
            if deadline is not None and time.monotonic() >= deadline:
                return progress
        scans.finish(work, owner=owner)
    finally:
        with suppress(DatabaseError):  # else the lease frees it when it runs out
            scans.let_go(work, owner=owner)
    return replace(progress, finished=True)


def _pages(bucket: Bucket, after: str) -> Iterator[list[ListedObject]]:
    listed = (
        ListedObject(key=ref.key, etag=ref.etag, size=ref.size, last_modified=ref.last_modified)
        for ref in bucket.list(after=after)
    )
    while page := list(islice(listed, PAGE)):
        yield page


def _advanced(
    before: ScanProgress, work: ScanWork, page: list[ListedObject], new: list[ListedObject]
) -> ScanProgress:
    told_by = datetime.now(UTC) - ON_THE_WAY
    missed = 0 if work.expected is None else sum(item.last_modified < told_by for item in new)
    return replace(before, seen=before.seen + len(page), new=before.new + len(new), missed=before.missed + missed)


def scan_source(site: Site, *, as_json: bool) -> None:
    """Walk the source to its end and tell what was found.

    Raises:
        UsageError: Another process walks it just now.
    """
    with _shown(quietly=as_json) as on_page:
        done = scan_slice(
            Scans(site.engine), site.bucket, owner=f"scan:{worker_name()}", seconds=None, on_page=on_page
        )
    if done is None:
        raise UsageError(
            f"another process is listing the source {site.bucket.name!r} just now: let it end, then try again"
        )
    if as_json:
        print_json(asdict(done))
    else:
        click.echo(f"{done.seen:,} objects seen, {done.new:,} of them new, {done.missed:,} missed by events")


@contextmanager
def _shown(*, quietly: bool) -> Iterator[Callable[[ScanProgress], None]]:
    """A bar where stderr is a terminal; its total is what the last scan saw."""
    console = Console(stderr=True)
    if quietly or not console.is_terminal:
        yield lambda _: None
        return
    began = time.monotonic()
    bar = Progress(
        TextColumn("listing"),
        BarColumn(),
        TextColumn("{task.completed:,} objects, {task.fields[new]:,} new"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        console=console,
    )
    task = bar.add_task("", total=None, new=0, rate=0.0)
    first: list[int] = []  # what earlier slices saw: no part of this rate

    def show(now: ScanProgress) -> None:
        first[:] = first or [max(0, now.seen - PAGE)]
        rate = (now.seen - first[0]) / max(time.monotonic() - began, 0.001)
        total = max(now.expected, now.seen) if now.expected else None
        bar.update(task, completed=now.seen, total=total, new=now.new, rate=rate)

    with bar:
        yield show
