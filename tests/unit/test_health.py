"""Live means that work moves or could not; ready means that all that it needs answers."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import create_engine

from db.errors import DatabaseUnavailable
from pipeline.errors import UsageError
from worker.health import Answer, Liveness, Readiness
from worker.health_server import health_served
from worker.metrics import Metrics
from worker.pulse import Pulse


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def liveness(
    clock: Clock,
    *,
    is_due: Callable[[], bool] | None = lambda: True,
    missing: Mapping[str, str] = {},
) -> tuple[Pulse, Liveness]:
    engine = create_engine("sqlite://")
    pulse = Pulse(engine, kind="convert", name="convert:h:1", stall_seconds=60, detail={}, clock=clock)
    return pulse, Liveness(pulse, is_due=is_due, missing=lambda: missing)


def test_work_that_moves_is_life_and_nobody_is_asked() -> None:
    def ask() -> bool:
        raise AssertionError

    clock = Clock()
    _, live = liveness(clock, is_due=ask)
    clock.now += 59
    assert live() == Answer(ok=True, body={"live": True, "why": "something moved 59 s ago", "kind": "convert"})


def test_due_work_that_does_not_move_is_death_until_it_moves() -> None:
    clock = Clock()
    pulse, live = liveness(clock)
    clock.now += 61
    assert live().body["why"] == "nothing moved for 61 s while work is due"
    assert not live().ok
    pulse.moved()
    assert live().ok


def test_nothing_to_do_is_no_death() -> None:
    clock = Clock()
    _, live = liveness(clock, is_due=lambda: False)
    clock.now += 3600
    assert live().ok


def test_what_is_in_hand_must_move_whatever_else_is_due() -> None:
    clock = Clock()
    pulse, live = liveness(clock, is_due=lambda: False)
    pulse.begin("a batch")
    clock.now += 61
    assert live().body["why"] == "a batch in hand has not moved for 61 s"
    assert not live().ok


def test_a_loop_must_turn_where_no_work_is_asked_for() -> None:
    clock = Clock()
    _, live = liveness(clock, is_due=None)
    clock.now += 61
    assert not live().ok


def test_a_database_that_cannot_be_asked_is_no_death() -> None:
    def ask() -> bool:
        raise DatabaseUnavailable("database 'x' does not answer")

    clock = Clock()
    _, live = liveness(clock, is_due=ask)
    clock.now += 61
    assert live().ok
    assert "database 'x' does not answer" in live().body["why"]


def test_a_service_that_is_away_is_no_death() -> None:
    clock = Clock()
    _, live = liveness(clock, missing={"broker": "refused"})
    clock.now += 61
    assert live().ok
    assert live().body["why"] == "nothing moves because of broker"


def test_ready_names_what_failed() -> None:
    def broken() -> None:
        raise ConnectionError("the broker refused")

    answer = Readiness({"broker": broken, "model": lambda: None})()
    assert answer == Answer(
        ok=False, body={"ready": False, "checks": {"broker": "the broker refused", "model": "ok"}}
    )


def test_checks_are_asked_again_after_a_while_only() -> None:
    clock, asked = Clock(), list[float]()
    ready = Readiness({"model": lambda: asked.append(clock.now)}, clock=clock)
    for clock.now in (1000.0, 1004.0, 1005.0):
        assert ready().ok
    assert asked == [1000.0, 1005.0]


def test_a_check_that_hangs_holds_nobody_up_and_is_not_begun_twice() -> None:
    go, begun = threading.Event(), list[int]()

    def hang() -> None:
        begun.append(1)
        go.wait(10)

    ready = Readiness({"bucket": hang, "model": lambda: None}, check_seconds=0.05, kept_seconds=0)
    for _ in range(2):
        assert ready().body["checks"] == {"bucket": "no answer for 0 s", "model": "ok"}
    assert len(begun) == 1
    go.set()
    while not ready().ok:
        pass


def get(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_three_pages_are_served() -> None:
    metrics = Metrics()
    metrics.missed_events(3)
    dead, not_ready = Answer(ok=False, body={"live": False}), Answer(ok=True, body={"ready": True})
    with health_served(free_port(), metrics.registry, live=lambda: dead, ready=lambda: not_ready) as port:
        assert b"nightread_missed_events_total 3.0" in get(port, "/metrics")[1]
        status, body = get(port, "/live?verbose")
        assert (status, json.loads(body)) == (503, {"live": False})
        assert get(port, "/ready")[0] == 200
        assert get(port, "/")[0] == 404


def test_a_port_in_use_is_one_line_that_names_the_setting() -> None:
    answer = Answer(ok=True, body={})
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UsageError, match=rf"NIGHTREAD_METRICS_PORT={port} .*in use.*free port"),
            health_served(port, Metrics().registry, live=lambda: answer, ready=lambda: answer),
        ):
            pass


def test_no_port_is_no_server() -> None:
    answer = Answer(ok=True, body={})
    before = threading.active_count()
    with health_served(0, Metrics().registry, live=lambda: answer, ready=lambda: answer) as port:
        assert (port, threading.active_count()) == (0, before)
