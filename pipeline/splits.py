"""Which studies are learnt from and which judge: drawn by patient, the same wherever and whenever it is asked.

A patient's place is a hash of what stands for the patient, so that all studies of one lie on one side, a later
export keeps everyone where they were, and nothing has to be stored. Assumes that one patient has one such name;
shares are reached on the average, not exactly.
"""

from collections.abc import Mapping
from hashlib import sha256

from pipeline.errors import UsageError

SHARES: Mapping[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
SITE_SHARES: Mapping[str, float] = {"train": 0.85, "val": 0.15}  # a site's own: no published test to keep apart
_SALT = b"nightread split 1:"  # another salt would move patients from one side to the other


def split_of(patient: str, shares: Mapping[str, float] = SHARES) -> str:
    """The split of a patient, by shares that sum to 1."""
    if abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0:  # noqa: PLR2004 - rounding of decimals
        raise UsageError(f"the shares {dict(shares)!r} do not sum to 1; give each split its part")
    place = int.from_bytes(sha256(_SALT + patient.encode()).digest()[:7]) / 2**56
    for name, share in shares.items():
        if place < share:
            return name
        place -= share
    return list(shares)[-1]  # what rounding left over
