"""A training run is one process under one lease, and ends with a state and a reason."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine

from db import schema
from db.engine import open_engine
from db.trainings import Trainings
from worker.pulse import Pulse
from worker.training import TrainingSlice


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    schema.upgrade(engine)
    return engine


Make = Callable[..., TrainingSlice]


@pytest.fixture
def make(engine: Engine) -> Make:
    """A worker whose trainer is a line of Python."""

    def build(code: str, *, owner: str = "w1", lease: float = 60, stop: Event | None = None) -> TrainingSlice:
        pulse = Pulse(engine, kind="training", name=owner, stall_seconds=60, detail={})
        program = (sys.executable, "-c", code)
        return TrainingSlice(
            trainings=Trainings(engine),
            owner=owner,
            lease_seconds=lease,
            pulse=pulse,
            stop=stop or Event(),
            site=lambda: pytest.fail("this run publishes nothing"),
            program=program,
        )

    return build


def states(engine: Engine) -> list[tuple[str, str, str]]:
    return [(item.config, item.state, item.reason) for item in Trainings(engine).entries(10)]


def test_a_run_gets_its_configuration_and_succeeds(
    engine: Engine, make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    trainings = Trainings(engine)
    trainings.request("night.toml", actor="test")
    assert trainings.has_work()
    make("import sys; print('learning from', *sys.argv[1:])")()
    assert "learning from fit night.toml\n" in capfd.readouterr().err
    assert states(engine) == [("night.toml", "succeeded", "")]
    assert not trainings.has_work()


def test_a_run_that_fails_says_how(engine: Engine, make: Make) -> None:
    Trainings(engine).request("bad.toml", actor="test")
    make("import sys; sys.exit('Error: no such file')")()
    assert states(engine) == [
        ("bad.toml", "failed", "nightread-train fit ended with exit code 1: Error: no such file")
    ]


def test_a_lease_is_renewed_for_as_long_as_the_run_lasts(engine: Engine, make: Make) -> None:
    Trainings(engine).request("long.toml", actor="test")
    first = threading.Thread(target=make("import time; time.sleep(2)", lease=1.0))
    first.start()
    time.sleep(1.5)
    assert Trainings(engine).claim(owner="w2", lease_seconds=60) is None
    first.join()
    assert states(engine) == [("long.toml", "succeeded", "")]


def test_a_worker_that_drains_gives_its_run_back(engine: Engine, make: Make) -> None:
    stop = Event()
    Trainings(engine).request("long.toml", actor="test")
    worker = threading.Thread(target=make("import time; time.sleep(60)", stop=stop))
    worker.start()
    time.sleep(0.5)
    stop.set()
    worker.join(timeout=10)
    assert not worker.is_alive()
    assert states(engine) == [("long.toml", "queued", "its worker was stopped; it begins again")]
    assert Trainings(engine).has_work()


def test_a_run_that_loses_worker_after_worker_is_given_up(engine: Engine) -> None:
    trainings = Trainings(engine)
    trainings.request("killer.toml", actor="test")
    for _ in range(2):
        trainings.claim(owner="w1", lease_seconds=0)
        trainings.sweep(most_crashes=2)
    ((_, state, reason),) = states(engine)
    assert state == "failed"
    assert reason.startswith("2 workers in succession were lost")


def test_two_workers_never_train_the_same_run(engine: Engine) -> None:
    trainings = Trainings(engine)
    trainings.request("one.toml", actor="test")
    assert trainings.claim(owner="w1", lease_seconds=60) is not None
    assert trainings.claim(owner="w2", lease_seconds=60) is None
