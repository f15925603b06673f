"""How soon a report follows the last object of a study, at light load.

    python -m tests.benchmarks.latency [--studies 30]

Starts the services and `nightread up`, sends one study at a time and prints the median and the longest time from
the last object's arrival to the report, the quiet period taken off.
"""

import statistics
import tempfile
from pathlib import Path

import click

from tests.arrivals import state_of
from tests.fleet import running_fleet
from tests.latency import measure_latency
from tests.site import running_site


@click.command()
@click.option("--studies", default=30, show_default=True)
def main(studies: int) -> None:
    """One study after the other."""
    numbers = [number for number in range(2 * studies) if state_of(number) == "reported"][: studies + 1]
    with (
        running_site() as site,
        tempfile.TemporaryDirectory() as folder,
        running_fleet(site, Path(folder), "latency", NIGHTREAD_SCAN_SECONDS="0") as fleet,
    ):
        fleet.start("up")
        fleet.bind()
        measure_latency(fleet, numbers[:1])  # the first one waits for the model and for the gateway's topic
        seconds = measure_latency(fleet, numbers[1:])
    print(f"{len(seconds)} studies: p50 {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")


if __name__ == "__main__":
    main()
