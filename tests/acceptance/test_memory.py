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
    write_studies(tmp_path / "archive", 50)
    few = _peak(Night(home=tmp_path / "few", source=tmp_path / "archive"))
    write_studies(tmp_path / "archive", 450, first=50)
    many = _peak(Night(home=tmp_path / "many", source=tmp_path / "archive"))
    print(f"peak of the process tree: {few / 1e6:.0f} MB for 50 studies, {many / 1e6:.0f} MB for 500")  # noqa: T201
    assert many < LIMIT
    assert abs(many - few) / few < 0.10


def _peak(night: Night) -> int:
    """The most memory that each of the run's processes ever held, added up.

    The kernel's own high-water marks: samples would miss the encoder's short peaks now and then, the more so the
    shorter the run. They are read until the run's page is there: a process that only ends touches 120 MB of its
    libraries' files once more, and whether a look falls into that moment is chance.
    """
    with night.start("run", "--json") as process:
        marks: dict[int, int] = {}
        page = night.home / "run.html"
        watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), page, marks))
        watcher.start()
        _, err = process.communicate(timeout=1200)
        watcher.join()
    assert process.returncode == 0, err
    return sum(marks.values())


def _watch(root: psutil.Process, page: Path, marks: dict[int, int]) -> None:
    while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
        looks = {process.pid: _high_water_mark(process.pid) for process in [root, *_children(root)]}
        if page.exists():
            return
        marks.update({pid: max(marks.get(pid, 0), mark) for pid, mark in looks.items()})
        time.sleep(0.1)


def _high_water_mark(pid: int) -> int:
    """The largest resident set of a process so far, in bytes; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) * 1024 if lines else 0


def _children(root: psutil.Process) -> list[psutil.Process]:
    """Those that run a program of their own: between fork and exec a child shows its parent's memory as its."""
    try:
        own = root.cmdline()
        return [child for child in root.children(recursive=True) if _command(child) not in (own, [])]
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    """What it was started with; [] once it is gone."""
    try:
        return list(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
