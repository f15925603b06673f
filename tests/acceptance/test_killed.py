"""A run that is killed again and again ends exactly as one that was left alone."""

import random
import signal
import time
from pathlib import Path

import pytest

from tests.archives import write_bad_objects, write_studies
from tests.night import Night

STUDIES, KILLS = 200, 10


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    write_studies(archive, STUDIES)
    write_bad_objects(archive)
    calm = Night(home=tmp_path / "calm", source=archive)
    calm.run(expect=(1,))
    shaken = Night(home=tmp_path / "shaken", source=archive)
    chance = random.Random(7)
    killed_at = [_kill_after(shaken, chance) for _ in range(KILLS)]
    assert all(killed_at), f"a run ended before its kill: {killed_at}"
    shaken.run(expect=(1,))
    assert shaken.outcome() == calm.outcome()
    assert len(calm.outcome()["reports"]) == STUDIES + 2  # and the object twice, and the lateral alone
    assert shaken.leases() == 0


def _kill_after(night: Night, chance: random.Random) -> bool:
    """Kill -9 the whole session at a random moment, from before the first object to the middle of a batch."""
    with night.start("run", "--json", "--batch-size", "4") as process:
        time.sleep(chance.uniform(0.5, 7))
        running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return running
