"""Memory stays flat however long the night: ten times the studies, the same peak."""

import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.archives import write_studies
from tests.night import Night

LIMIT = 2_500_000_000  # bytes, the whole process tree


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ten_times_the_studies_need_the_same_memory(tmp_path: Path) -> None:
    write_studies(tmp_path / "archive", 200)
    few = _peak(Night(home=tmp_path / "few", source=tmp_path / "archive"))
    write_studies(tmp_path / "archive", 1800, first=200)
    many = _peak(Night(home=tmp_path / "many", source=tmp_path / "archive"))
    print(f"peak of the process tree: {few / 1e6:.0f} MB for 200 studies, {many / 1e6:.0f} MB for 2,000")  # noqa: T201
    assert many < LIMIT
    assert abs(many - few) / few < 0.10


def _peak(night: Night) -> int:
    """The most memory (sum of resident sets) that the run's processes held at once."""
    with night.start("run", "--json") as process:
        peaks = [0]
        watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peaks))
        watcher.start()
        _, err = process.communicate(timeout=1200)
        watcher.join()
    assert process.returncode == 0, err
    return max(peaks)


def _watch(root: psutil.Process, peaks: list[int]) -> None:
    while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
        total = 0
        for process in [root, *_children(root)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peaks[0] = max(peaks[0], total)
        time.sleep(0.1)


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return list(root.children(recursive=True))
    except psutil.NoSuchProcess:
        return []
