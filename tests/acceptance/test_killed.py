"""A run that is killed again and again ends exactly as one that was left alone."""

import random
import signal
import time
from pathlib import Path

import pytest

from tests.archives import write_bad_objects, write_studies
from tests.night import Night

STUDIES, KILLS = 100, 10


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    write_studies(archive, STUDIES)
    write_bad_objects(archive)
    calm = Night(home=tmp_path / "calm", source=archive)
    calm.run(expect=(1,))
    shaken = Night(home=tmp_path / "shaken", source=archive)
    chance = random.Random(7)
    moments = sorted(chance.randrange(STUDIES - 20) for _ in range(KILLS - 1))
    killed = [_kill_after(shaken, reports, chance.uniform(0, 0.3)) for reports in (0, *moments)]
    assert all(killed), f"a run ended before its kill: {killed}"
    shaken.run(expect=(1,))
    assert shaken.outcome() == calm.outcome()
    assert len(calm.outcome()["reports"]) == STUDIES + 2  # and the object twice, and the lateral alone
    assert shaken.leases() == 0


def _kill_after(night: Night, reports: int, delay: float) -> bool:
    """Kill -9 the run somewhat after so many reports are there; its converting processes end by themselves."""
    with night.start("run", "--json", "--batch-size", "4") as process:
        while reports and night.count_reports() < reports and process.poll() is None:
            time.sleep(0.05)
        time.sleep(delay)
        running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return running
