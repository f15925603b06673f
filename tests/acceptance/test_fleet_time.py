"""Time goes wrong: a worker stalls past the broker's patience, the broker restarts mid-chunk, clocks are off."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import KINDS, Fleet, wait_for
from tests.verdict import all_ended, judge
from tests.witness import install_witness

STUDIES = range(40)
CONSUMER_TIMEOUT = "application:set_env(rabbit, consumer_timeout, {milliseconds})."
LEASED = "SELECT count(*) FROM {table} WHERE lease_owner IS NOT NULL"
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


@pytest.fixture
def impatient(fleet: Fleet) -> Iterator[Fleet]:
    """A fleet whose broker takes a message back after 5 s; it looks every 5 s."""
    control = fleet.site.rabbitmq.control
    control("eval", CONSUMER_TIMEOUT.format(milliseconds=5_000))
    yield fleet
    control("eval", CONSUMER_TIMEOUT.format(milliseconds=1_800_000))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["convert", "caption"])
def test_a_worker_that_outlasts_the_brokers_patience(impatient: Fleet, kind: str) -> None:
    members = {name: impatient.start(*arguments) for name, arguments in KINDS.items()}
    impatient.bind()
    impatient.wait_for_workers(len(KINDS))
    impatient.arrivals.send_all(STUDIES)
    wait_for(lambda: leased(impatient, kind), 60, "work is in hand")
    os.kill(members[kind].process.pid, signal.SIGSTOP)
    time.sleep(15)
    os.kill(members[kind].process.pid, signal.SIGCONT)
    wait_for(lambda: all_ended(impatient, STUDIES), 120, "every study ended")
    assert judge(impatient, STUDIES).clean
    assert [name for name, member in members.items() if not member.alive] == []


@pytest.mark.slow
def test_the_broker_restarts_in_the_middle_of_a_chunk(fleet: Fleet) -> None:
    members = [fleet.start(*arguments) for arguments in KINDS.values()]
    fleet.bind()
    fleet.wait_for_workers(len(KINDS))
    fleet.arrivals.send_all(STUDIES)
    wait_for(lambda: leased(fleet, "caption"), 60, "work is in hand")
    fleet.site.rabbitmq.kill()
    fleet.site.rabbitmq.start()
    fleet.arrivals.send_all(range(40, 50))
    numbers = range(50)
    wait_for(lambda: all_ended(fleet, numbers), 120, "every study ended")
    assert judge(fleet, numbers).clean
    assert [member.arguments for member in members if not member.alive] == []


@pytest.mark.slow
def test_workers_whose_clocks_are_ten_minutes_off(fleet: Fleet) -> None:
    library = faketime_library()
    fleet.env |= {"NIGHTREAD_LEASE_SECONDS": "60", "NIGHTREAD_CHUNK_SIZE": "4"}
    witness = install_witness(fleet)
    right = [fleet.start(*arguments) for arguments in KINDS.values()]
    wrong = [
        fleet.start(*KINDS[kind], env={"LD_PRELOAD": library, "FAKETIME": off, "DONT_FAKE_MONOTONIC": "1"})
        for kind, off in (("convert", "+10m"), ("caption", "-10m"))
    ]
    fleet.bind()
    fleet.wait_for_workers(len(right) + len(wrong))
    fleet.arrivals.send_all(STUDIES, seconds=10)
    wait_for(lambda: all_ended(fleet, STUDIES), 120, "every study ended")
    assert judge(fleet, STUDIES).clean
    assert witness.overlaps() == []
    assert witness.settled_twice() == []
    assert [member.arguments for member in (*right, *wrong) if not member.alive] == []


def leased(fleet: Fleet, kind: str) -> bool:
    """Whether a worker of this kind has work in hand."""
    table = {"convert": "object", "caption": "study_revision"}[kind]
    return bool(fleet.query(LEASED.format(table=table))[0][0])


def faketime_library() -> str:
    """What is loaded before a program to give it a clock of its own."""
    found = [path for pattern in LIBRARIES for path in sorted(Path("/").glob(pattern.lstrip("/")))]
    if not found:
        told = "no libfaketime here; install it (apt-get install faketime)"
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
    return str(found[0])
