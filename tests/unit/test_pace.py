"""Windows and rates, by a clock that the test holds."""

from datetime import UTC, datetime, timedelta

import pytest

from db.pace import Pace, Window

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(hour: int, minute: int = 0) -> datetime:
    """A time of one day."""
    return NOON.replace(hour=hour, minute=minute)


def window(text: str) -> Window:
    """The window of a text that names one."""
    found = Window.parse(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "open_at", "shut_at"),
    [
        ("20:00-06:00", [(20, 0), (23, 59), (0, 0), (5, 59)], [(6, 0), (12, 0), (19, 59)]),
        ("09:30-17:00", [(9, 30), (16, 59)], [(9, 29), (17, 0), (0, 0)]),
        ("00:00-06:00", [(0, 0), (5, 59)], [(6, 0), (23, 59)]),
        ("18:00-00:00", [(18, 0), (23, 59)], [(0, 0), (17, 59)]),
    ],
)
def test_a_window_is_open_from_its_start_to_before_its_end(
    text: str, open_at: list[tuple[int, int]], shut_at: list[tuple[int, int]]
) -> None:
    assert all(window(text).covers(at(*time)) for time in open_at)
    assert not any(window(text).covers(at(*time)) for time in shut_at)
    assert str(window(text)) == text


@pytest.mark.parametrize("text", ["", "20-6", "20:00-24:00", "20:00", "20:00-20:00", "25:00-06:00", "٢0:00-06:00"])
def test_what_names_no_window_is_none(text: str) -> None:
    assert Window.parse(text) is None


def test_a_window_moves_to_another_clock_across_midnight() -> None:
    assert str(window("01:00-06:00").shifted(timedelta(hours=-2))) == "23:00-04:00"
    assert str(window("20:00-06:00").shifted(timedelta(hours=5, minutes=30))) == "01:30-11:30"


def test_no_limit_lets_all_through() -> None:
    assert Pace(per_hour=None, window=None).allowed(NOON, NOON, most=7) == 7


@pytest.mark.parametrize(
    ("per_hour", "elapsed", "allowed"),
    [
        (3600, 0.0, 0),
        (3600, 5.0, 5),
        (3600, 5.9, 5),
        (3600, 86400.0, 61),  # a minute's worth, and the one that was nearly due
        (10, 359.0, 0),
        (10, 361.0, 1),
        (10, 86400.0, 1),  # slower than one a minute: one
        (1_000_000, 5.0, 500),  # the caller's own limit
        (3600, -30.0, 0),  # the clock was set back
    ],
)
def test_a_rate_lets_through_what_its_time_has_earned(per_hour: int, elapsed: float, allowed: int) -> None:
    pace = Pace(per_hour=per_hour, window=None)
    assert pace.allowed(NOON, NOON + timedelta(seconds=elapsed), most=500) == allowed


def test_nothing_is_allowed_outside_of_the_window() -> None:
    pace = Pace(per_hour=None, window=window("20:00-06:00"))
    assert pace.allowed(NOON, at(19, 59), most=5) == 0
    assert pace.allowed(NOON, at(20), most=5) == 5


@pytest.mark.parametrize("per_hour", [7, 60, 997, 5000])
@pytest.mark.parametrize("every", [0.7, 5.0, 13.0])
def test_over_hours_the_rate_is_kept_exactly(per_hour: int, every: float) -> None:
    pace, fed_at, queued = Pace(per_hour=per_hour, window=None), NOON, 0
    for number in range(1, int(7200 / every) + 1):
        now = NOON + timedelta(seconds=number * every)
        allowed = pace.allowed(fed_at, now, most=10_000)
        fed_at, queued = pace.paid(fed_at, now, queued=allowed), queued + allowed
    assert per_hour * 2 - per_hour * every / 3600 - 1 <= queued <= per_hour * 2


def test_what_a_full_lane_refused_is_not_made_up_for() -> None:
    pace, fed_at, queued = Pace(per_hour=3600, window=None), NOON, 0
    for number in range(1, 101):
        now = NOON + timedelta(seconds=number * 5)
        allowed = pace.allowed(fed_at, now, most=0 if number <= 50 else 10_000)
        fed_at, queued = pace.paid(fed_at, now, queued=allowed), queued + allowed
    assert queued == 61 + 49 * 5
