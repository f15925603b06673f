"""A listing of a hundred thousand keys takes the memory of one page."""

from pathlib import Path

import psutil

from db import schema
from db.engine import open_engine
from db.scans import Scans
from tests.conformance.ledger_scans import ManyKeys
from worker.scan import scan_slice


def test_the_memory_of_a_scan_is_flat(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    schema.upgrade(engine)
    process, memory = psutil.Process(), list[int]()
    done = scan_slice(
        Scans(engine),
        ManyKeys(100_000),
        owner="a",
        seconds=None,
        on_page=lambda _: memory.append(process.memory_info().rss),
    )
    engine.dispose()
    assert done
    assert done.new == 100_000
    assert max(memory[20:]) - max(memory[:20]) < 10_000_000
