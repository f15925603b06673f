"""The network between the workers and each service is cut for a minute: it heals by itself."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fleet import KINDS, Fleet, running_fleet, wait_for
from tests.netns import Network, own_network
from tests.site import running_site
from tests.verdict import all_ended, judge

CUT_SECONDS = 60
APART_SECONDS = 25  # between the beginnings of the cuts: each service is away alone and together with another
DURING, AFTER = range(40), range(40, 60)


@pytest.fixture
def network() -> Iterator[Network]:
    with own_network(7) as network:
        yield network


@pytest.fixture
def far_fleet(network: Network, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet that reaches its services over that network only."""
    with running_site(address=network.host) as site, running_fleet(site, tmp_path / "home", "far") as fleet:
        here = {name: value for name, value in fleet.environment.items() if "127.0.0.1" in value}
        fleet.env |= {name: value.replace("127.0.0.1", network.host) for name, value in here.items()}
        yield fleet
        print(fleet.logs())  # noqa: T201


@pytest.mark.slow
def test_a_cut_network_heals_by_itself(far_fleet: Fleet, network: Network) -> None:
    far_fleet.env |= {"NIGHTREAD_LEASE_SECONDS": "30", "NIGHTREAD_SCAN_SECONDS": "20"}
    members = [far_fleet.start(*arguments, within=network.within) for arguments in KINDS.values()]
    far_fleet.bind()
    far_fleet.wait_for_workers(len(KINDS))
    site = far_fleet.site
    with ThreadPoolExecutor() as threads:
        sent = threads.submit(far_fleet.arrivals.send_all, DURING, seconds=CUT_SECONDS + 2 * APART_SECONDS)
        for place, port in enumerate((site.rabbitmq.port, site.postgres.port, site.s3.port)):
            threads.submit(cut, network, port, place * APART_SECONDS)
        sent.result()
    far_fleet.arrivals.send_all(AFTER)
    numbers = [*DURING, *AFTER]
    wait_for(lambda: all_ended(far_fleet, numbers), 180, "every study ended")
    assert judge(far_fleet, numbers).clean
    assert [member.arguments for member in members if not member.alive] == []


def cut(network: Network, port: int, wait: float) -> None:
    """Cut a service off for a minute, after a while."""
    time.sleep(wait)
    network.cut(port)
    time.sleep(CUT_SECONDS)
    network.heal(port)
