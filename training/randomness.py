"""Random numbers that depend on a place in the run alone, not on what was drawn before.

Every source (torch on all devices, numpy, python) is seeded anew for each batch of each rank. So a run that goes
on after a kill draws what it would have drawn, judging cannot disturb it, and no source's state is kept on disk.
Costs some microseconds per batch.
"""

import hashlib
import random

import numpy as np
import torch


def seed_at(seed: int, *place: int | str) -> int:
    """A seed for this place of a run."""
    digest = hashlib.sha256(repr((seed, *place)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def randomness_at(seed: int, *place: int | str) -> torch.Generator:
    """Seed every source for this place, and return a generator of its own."""
    number = seed_at(seed, *place)
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002 - for libraries that draw from numpy's common source
    torch.manual_seed(number)
    return torch.Generator().manual_seed(number)
