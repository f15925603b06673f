"""Fuzzing at length: `python -m tests.benchmarks.fuzz --inputs 20000` converts so many changed files, and tells.

Numbers make inputs, so that `--first N --write FILE` gives back the one that was found. Exit code 1 when anything
was found.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

from tests.fuzz.campaign import run
from tests.fuzz.inputs import seeds
from tests.fuzz.mutations import mutate


def main() -> int:
    """Run, print, say whether all was well."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--write", type=Path, help="write the first input to this file instead")
    options = parser.parse_args()
    if options.write:
        options.write.write_bytes(mutate(options.first, seeds()))
        return 0
    found = run(options.first, options.first + options.inputs)
    print(
        f"{found.inputs} inputs: " + ", ".join(f"{count} {name}" for name, count in sorted(found.outcomes.items()))
    )
    print(
        f"slowest {found.slowest_ms:.0f} ms of CPU (input {found.slowest}), memory grew {found.growth_mb:.0f} MB"
    )
    print(f"{len(found.faults)} found", *found.faults, sep="\n  ")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
