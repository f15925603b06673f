"""One table decides what an error means, and a breaker stops what fails without exception."""

import pytest

from pipeline.errors import BadObject, CheckpointError, NotForUs, ObjectChanged, Unavailable
from worker.retry import LONGEST_DELAY, Breaker, Fate, delay_after, fate_of


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (Unavailable("x"), Fate.RETRY),
        (ObjectChanged("x"), Fate.RETRY),
        (BadObject("x"), Fate.DEAD),
        (NotForUs("x"), Fate.DEAD),
        (CheckpointError("x"), Fate.CRASH),
        (ZeroDivisionError(), Fate.CRASH),
    ],
)
def test_every_error_has_one_fate(error: Exception, fate: Fate) -> None:
    assert fate_of(error) is fate


def test_delays_double_up_to_an_hour_and_half_of_each_is_chance() -> None:
    assert [delay_after(attempts, lambda: 1.0) for attempts in (0, 1, 2)] == [20, 40, 80]
    assert delay_after(50, lambda: 1.0) == LONGEST_DELAY
    assert delay_after(1, lambda: 0.0) == 20
    assert len({delay_after(3) for _ in range(50)}) > 40


def test_a_breaker_opens_on_failures_in_succession_only() -> None:
    breaker = Breaker(limit=3)
    for failed in (True, True, False, True, True):
        breaker.record(failed=failed)
    assert not breaker.is_open
    breaker.record(failed=True)
    assert breaker.is_open
