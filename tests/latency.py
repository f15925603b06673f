"""How long a study takes from its last object's arrival to its report, at light load."""

import time
from collections.abc import Iterable

from tests.arrivals import uid_of
from tests.fleet import QUIET_SECONDS, Fleet, wait_for

REPORTED = "SELECT count(*) FROM latest_report WHERE study_instance_uid = :uid"


def measure_latency(fleet: Fleet, numbers: Iterable[int]) -> list[float]:
    """Send one study after the other; seconds until each has a report, the quiet period taken off."""
    seconds = []
    for number in numbers:
        fleet.arrivals.send(number)
        arrived = time.monotonic()

        def reported(uid: str = uid_of(number)) -> bool:
            return bool(fleet.query(REPORTED, uid=uid)[0][0])

        wait_for(reported, 120, f"a report of study {number}")
        seconds.append(time.monotonic() - arrived - QUIET_SECONDS)
    return seconds
