"""How a fleet bears being killed at random while many studies arrive.

    python -m tests.benchmarks.chaos --studies 1000 --seeds 5

Prints a line for each seed; exits 1 when anything was lost or doubled. Starts the services itself.
"""

import sys
import tempfile
from pathlib import Path

import click

from tests.chaos import endure
from tests.fleet import running_fleet
from tests.site import running_site


@click.command()
@click.option("--studies", default=1000, show_default=True)
@click.option("--seeds", default=5, show_default=True, help="How many nights.")
@click.option("--first", default=1, show_default=True, help="The first seed.")
@click.option("--rounds", default=3, show_default=True, help="How often each process and service is killed.")
def main(studies: int, seeds: int, first: int, rounds: int) -> None:
    """A night for each seed, each with new processes, database and bucket."""
    sound = True
    with running_site() as site, tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + seeds):
            home = Path(folder) / f"seed-{seed}"
            with running_fleet(site, home, f"chaos{seed}") as fleet:
                ordeal = endure(fleet, studies=studies, seed=seed, rounds=rounds)
                print(f"seed {seed}: {ordeal.line()}", flush=True)
                if not ordeal.verdict.clean:
                    sound = False
                    print("\n".join(ordeal.verdict.lost[:20]), fleet.logs(), sep="\n", flush=True)
    sys.exit(not sound)


if __name__ == "__main__":
    main()
