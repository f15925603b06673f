"""Processes that are started anew, drained, and never left behind; real ones, signalled and killed."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.errors import UsageError
from tests.services.service import free_ports
from worker.supervisor import Command, run_fleet

ROOT = Path(__file__).resolve().parents[2]
SUPERVISOR = """
import json, sys
from worker.logs import configure_logs
from worker.supervisor import Command, Pace, run_fleet
configure_logs("info")
kinds, pace, script, port = json.loads(sys.argv[1])
commands = [Command(kind=kind, arguments=(kind,)) for kind in kinds]
sys.exit(run_fleet(commands, program=(sys.executable, script), pace=Pace(**pace), port=port))
"""
CHILD = """
import os, pathlib, signal, subprocess, sys, time
kind, here = sys.argv[1], pathlib.Path(__file__).parent
nap = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
grandchild = subprocess.Popen(nap)
with (here / "pids").open("a") as pids:
    pids.write(f"{kind} {os.getpid()} {grandchild.pid} {os.environ.get('NIGHTREAD_METRICS_PORT', '')}\\n")
def end(*_):
    time.sleep(0.2)
    with (here / "ended").open("a") as ended:
        ended.write(f"{kind}\\n")
    grandchild.kill()
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if kind == "deaf" else end)
if kind == "dying":
    sys.exit(3)
while True:
    time.sleep(1)
"""


class Up:
    """A supervisor in a process of its own, and what its children wrote down."""

    def __init__(self, folder: Path, *kinds: str, port: int = 0, **pace: float) -> None:
        self._folder = folder
        (folder / "child.py").write_text(CHILD, encoding="utf-8")
        told = json.dumps([kinds, {"look": 0.02, **pace}, str(folder / "child.py"), port])
        self._errors = (folder / "stderr").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, told], cwd=ROOT, stderr=self._errors, process_group=0
        )
        self.wait_for(lambda: {line[0] for line in self.lines()} == set(kinds))

    def lines(self) -> list[list[str]]:
        """Kind, pid, grandchild's pid and metrics port of each start."""
        file = self._folder / "pids"
        return [line.split(" ") for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []

    def pids(self) -> list[int]:
        """Every process that was ever started below."""
        return [int(pid) for line in self.lines() for pid in line[1:3]]

    def alive(self) -> list[int]:
        """Those that still run."""
        return [pid for pid in self.pids() if is_running(pid)]

    def ended(self) -> set[str]:
        """The kinds that drained by themselves."""
        return set((self._folder / "ended").read_text(encoding="utf-8").split())

    def events(self, name: str) -> list[dict[str, object]]:
        """The log's lines of one event."""
        lines = (self._folder / "stderr").read_text(encoding="utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def keepers(self) -> list[psutil.Process]:
        """The process that ends what the supervisor leaves, if it runs."""
        return [one for one in psutil.Process(self.process.pid).children() if is_keeper(one)]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        until = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < until, (self._folder / "stderr").read_text(encoding="utf-8")
            time.sleep(0.02)

    def close(self) -> None:
        """End everything."""
        self.process.kill()
        self.process.wait()
        self._errors.close()
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def is_keeper(process: psutil.Process) -> bool:
    try:
        return "keeper.py" in str(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


Start = Callable[..., Up]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a supervisor that ends with the test."""
    started: list[Up] = []

    def begin(*kinds: str, port: int = 0, **pace: float) -> Up:
        started.append(Up(tmp_path, *kinds, port=port, **pace))
        return started[-1]

    yield begin
    for up in started:
        up.close()


def test_one_that_dies_is_started_anew_ever_later_and_its_neighbours_go_on(start: Start) -> None:
    up = start("steady", "dying", first=0.05, longest=0.2)
    up.wait_for(lambda: len(up.events("process_died")) >= 4)
    deaths = up.events("process_died")[:4]
    assert [(death["kind"], death["exit_code"], death["next_in"]) for death in deaths] == [
        ("dying", 3, 0.05),
        ("dying", 3, 0.1),
        ("dying", 3, 0.2),
        ("dying", 3, 0.2),
    ]
    assert [line[0] for line in up.lines()].count("steady") == 1


def test_one_that_was_killed_leaves_no_grandchild_and_is_back(start: Start) -> None:
    up = start("steady", first=0.05)
    _, pid, grandchild, _ = up.lines()[0]
    os.kill(int(pid), signal.SIGKILL)
    up.wait_for(lambda: len(up.lines()) == 2 and not is_running(int(grandchild)))
    assert up.events("process_died")[0]["exit_code"] == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_lets_every_process_finish_and_is_no_failure(start: Start, number: signal.Signals) -> None:
    up = start("steady", "other")
    up.process.send_signal(number)
    assert up.process.wait(60) == 0
    assert up.ended() == {"steady", "other"}
    assert up.alive() == []


def test_who_does_not_end_within_the_grace_is_killed(start: Start) -> None:
    up = start("steady", "deaf", grace=3.0)
    up.process.terminate()
    assert up.process.wait(60) == 1
    assert up.ended() == {"steady"}
    assert [event["kind"] for event in up.events("process_killed")] == ["deaf"]
    assert up.alive() == []


def test_a_second_signal_kills_at_once(start: Start) -> None:
    up = start("deaf")
    up.process.terminate()
    up.wait_for(lambda: bool(up.events("draining")))
    up.process.terminate()
    assert up.process.wait(60) == 1
    assert up.alive() == []


def test_a_supervisor_that_is_killed_leaves_nobody_behind(start: Start) -> None:
    up = start("deaf", "steady")
    assert len(up.alive()) == 4
    up.process.kill()
    up.wait_for(lambda: not up.alive())


def test_neither_does_one_whose_keeper_was_killed_before(start: Start) -> None:
    up = start("deaf", "steady")
    (keeper,) = up.keepers()
    keeper.kill()
    up.wait_for(lambda: up.keepers() not in ([], [keeper]))
    time.sleep(0.2)  # it is told of the groups right after its start
    up.process.kill()
    up.wait_for(lambda: not up.alive())


def test_each_process_has_a_port_of_its_own_and_the_first_tells_of_all(start: Start) -> None:
    port = free_ports(3)
    up = start("steady", "other", port=port)
    assert {(line[0], line[3]) for line in up.lines()} == {("steady", str(port + 1)), ("other", str(port + 2))}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
        assert json.load(answer) == {"ready": True, "checks": {"steady": "ok", "other": "ok"}}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b'nightread_processes{kind="steady"} 1.0' in answer.read()


def test_ports_that_end_too_soon_are_one_line() -> None:
    commands = [Command(kind="beat", arguments=("beat",))] * 4
    with pytest.raises(UsageError, match=r"NIGHTREAD_METRICS_PORT=65533 .* set it to 65531 or less"):
        run_fleet(commands, port=65533)
