"""What the ledger promises of listings, on PostgreSQL; and that their memory does not grow."""

import psutil

from db.scans import Scans
from tests.conformance.ledger_scans import ManyKeys, ScanTests
from tests.conformance.ledger_world import World
from worker.scan import scan_slice


class TestScans(ScanTests):
    """Listings, and what they record."""


def test_the_memory_of_a_scan_is_flat(world: World) -> None:
    process, memory = psutil.Process(), list[int]()
    done = scan_slice(
        Scans(world.engine),
        ManyKeys(100_000),
        owner="a",
        seconds=None,
        on_page=lambda _: memory.append(process.memory_info().rss),
    )
    assert done
    assert done.new == 100_000
    assert max(memory[20:]) - max(memory[:20]) < 10_000_000
