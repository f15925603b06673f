"""A process tells that it lives, in its own words, and takes leave."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from db.base import Base
from db.engine import open_engine, reading
from db.workers import WorkerSeen, seen
from worker.pulse import Pulse


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A database without tables yet."""
    return open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")


def pulse_on(engine: Engine, *, clock: Callable[[], float] = time.monotonic) -> Pulse:
    return Pulse(
        engine,
        kind="caption",
        name="caption:host:7",
        stall_seconds=60,
        detail={"device": "cpu"},
        beat_seconds=0.02,
        clock=clock,
    )


def told(engine: Engine) -> tuple[WorkerSeen, ...]:
    with reading(engine) as connection:
        return seen(connection)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_ledger_hears_what_is_in_hand_and_what_was_done(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with pulse_on(engine) as pulse:
        pulse.moved(settled=3)
        with pulse.working("caption 16 studies"):
            wait_for(lambda: bool(told(engine)) and told(engine)[0].detail["now"] == "caption 16 studies")
            (row,) = told(engine)
        assert (row.name, row.kind, row.settled, row.detail["device"]) == ("caption:host:7", "caption", 3, "cpu")
        wait_for(lambda: not told(engine)[0].detail["now"])
    assert told(engine) == ()


def test_a_database_that_is_away_is_told_once_and_the_heart_beats_on(engine: Engine) -> None:
    with capture_logs() as logs, pulse_on(engine):
        wait_for(lambda: bool(logs))
        time.sleep(0.1)
        Base.metadata.create_all(engine)
        wait_for(lambda: bool(told(engine)))
        wait_for(lambda: len(logs) > 1)
    assert [item["event"] for item in logs] == ["heartbeat_not_written", "heartbeat_written_again"]


def test_it_stands_still_from_the_last_move(engine: Engine) -> None:
    now = [10.0]
    pulse = pulse_on(engine, clock=lambda: now[0])
    now[0] = 15.0
    assert pulse.still_seconds == 5
    pulse.begin("load")
    now[0] = 18.0
    assert (pulse.still_seconds, pulse.in_hand) == (3, "load")
    pulse.end("load")
    assert (pulse.still_seconds, pulse.in_hand) == (0, "")
