"""How long a draft takes on this machine: seconds per study, one at a time and in batches.

Counts what a captioner does with views at hand: encode, search, clean. Reading and converting images is not in it.
The figures are the machine's, so they are printed and never kept in a manifest.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.captioner import Captioner
from pipeline.study import Study
from training.datasets import Example, ImageArchive

SINGLES = 12  # studies timed one at a time
BATCHES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Seconds per study at a batch size."""

    batch_size: int
    studies: int  # how many were timed
    median: float
    p90: float


def measure_latency(
    captioner: Captioner,
    examples: Sequence[Example],
    archive: ImageArchive,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Latency]:
    """One at a time, then by the captioner's batch size; a first study warms up and is not counted."""
    wanted = max(SINGLES, BATCHES * captioner.batch_size)
    studies = [archive.study(example, key) for key, example in enumerate(examples[:wanted])]
    captioner.caption(studies[:1])
    return [
        _timed(captioner, studies[: SINGLES if size == 1 else wanted], size, clock)
        for size in dict.fromkeys((1, min(captioner.batch_size, len(studies))))
    ]


def _timed(captioner: Captioner, studies: Sequence[Study], size: int, clock: Callable[[], float]) -> Latency:
    seconds: list[float] = []
    for batch in _whole_batches(studies, size):
        start = clock()
        captioner.caption(batch)
        seconds.append((clock() - start) / size)
    median, p90 = np.percentile(seconds, (50, 90))
    return Latency(batch_size=size, studies=size * len(seconds), median=float(median), p90=float(p90))


def _whole_batches(studies: Sequence[Study], size: int) -> Iterable[Sequence[Study]]:
    return (studies[start : start + size] for start in range(0, len(studies) - size + 1, size))
