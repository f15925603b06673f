"""What the ledger promises of listings, on PostgreSQL; and that their memory does not grow."""

import tracemalloc

from db.scans import Scans
from tests.conformance.ledger_scans import ManyKeys, ScanTests
from tests.conformance.ledger_world import World
from worker.scan import scan_slice


class TestScans(ScanTests):
    """Listings, and what they record."""


def test_the_memory_of_a_scan_is_flat(world: World) -> None:
    peaks: list[int] = []
    bucket = ManyKeys(100_000)
    tracemalloc.start()
    try:
        scan_slice(
            Scans(world.engine),
            bucket,
            owner="a",
            seconds=None,
            on_page=lambda now: peaks.append(tracemalloc.get_traced_memory()[0]),
        )
    finally:
        tracemalloc.stop()
    assert len(peaks) == 100
    assert max(peaks[50:]) < max(peaks[5:50]) + 500_000
