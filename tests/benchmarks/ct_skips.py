"""What a study costs that is not for us: 1,000 CT slices in a folder; a part of `tests.benchmarks.convert`.

Converting alone, in one process; and the same as a run does it: listed into an empty ledger, claimed, sent to
processes that wait for work, settled, released. CPU time of all processes together; of the run also the clock's.
"""

import os
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from db.records import ObjectWork
from db.release import Patience
from pipeline.conversion import convert
from pipeline.folder_bucket import FolderBucket
from pipeline.study import Preprocessing, Refused
from tests.benchmarks.alternating import medians
from tests.benchmarks.radiograph_files import write_ct_study
from worker.bootstrap import DEPTH, Site
from worker.conversions import Conversions
from worker.pool import ConverterPool
from worker.settings import load_settings
from worker.steps import intake

SLICES = 1000
ROUNDS = 5  # of runs; each begins with an empty ledger
OWNER = "run:bench"


def measure(folder: Path) -> dict[str, float]:
    """Seconds for the study; printed."""
    size = write_ct_study(folder / "study", SLICES)
    alone = medians({"skip": lambda: _skip(folder / "study")})["skip"]
    runs = [_run(folder, number) for number in range(ROUNDS)]
    cpu, clock = (statistics.median(figures) for figures in zip(*runs, strict=True))
    print(f"\n{SLICES} CT slices ({size >> 20} MiB): {alone:.2f} s of CPU time to skip in one process, ", end="")
    print(f"{cpu:.2f} s in a run, {clock:.2f} s by the clock; the machine's load {os.getloadavg()[0]:.1f}")
    return {
        "ct_study_s": round(alone, 2),
        "ct_study_run_s": round(cpu, 2),
        "ct_study_run_s_by_clock": round(clock, 2),
    }


def _skip(folder: Path) -> None:
    bucket = FolderBucket(folder)
    wanted = Preprocessing(height=512, width=512, fit="squash")
    for ref in bucket.list():
        with bucket.open(ref) as stream:
            assert isinstance(convert(stream, size=ref.size, preprocessing=wanted), Refused)


def _run(folder: Path, number: int) -> tuple[float, float]:
    site = Site(settings=load_settings({"home": folder / f"home-{number}", "source": str(folder / "study")}))
    pool = _waiting_pool(site)
    conversions = Conversions(site.ledger, pool, bucket=site.bucket.name, owner=OWNER, lease_seconds=900)
    spent, began = _spent(pool), time.monotonic()
    assert intake(site.ledger, site.bucket, lambda _seen, _new: None) == SLICES
    while conversions.advance(feed=True):
        pass
    site.ledger.release(Patience(quiet=0, longest=None))
    figures = _spent(pool) - spent, time.monotonic() - began
    conversions.close()
    assert site.ledger.balance().objects["skipped"] == SLICES
    return figures


def _spent(pool: ConverterPool) -> float:
    """CPU seconds of this process and the pool's."""
    return time.process_time() + sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pool.pids)


def _waiting_pool(site: Site) -> ConverterPool:
    """Processes that have started, as they have shown by an object that is not there."""
    pool = ConverterPool(site.converter_spec, processes=site.settings.cores, depth=DEPTH)
    nothing = ObjectWork(
        object_id=0,
        bucket=site.bucket.name,
        key="none",
        etag="",
        size=0,
        last_modified=datetime.now(UTC),
        attempts=0,
    )
    pool.submit([nothing] * site.settings.cores * DEPTH)
    while pool.in_hand:
        pool.collect(1)
    return pool
