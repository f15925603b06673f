"""Times several ways to do one thing in turns, so that whatever else the machine does hurts all of them alike.

By CPU time of the whole process, threads included: for work in one thread on a free core that is what the clock
says, and on a busy machine what the clock would say. The clock is for what waits or has processes of its own.
"""

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 15


def medians(
    ways: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Median seconds of each way, after one run of each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for turn in range(rounds):
        names = list(ways)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = clock()
            ways[name]()
            seconds[name].append(clock() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}
