"""Which lane a key and an age lead to."""

from datetime import UTC, datetime, timedelta

import pytest

from db.records import Lane
from worker.triage import Triage, parse_patterns

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TRIAGE = Triage(urgent_keys=parse_patterns(" ed/*, *_STAT.dcm ,"), backfill_days=30, marker="_COMPLETE")


@pytest.mark.parametrize(
    ("key", "days", "lane"),
    [
        ("ed/2026/1.dcm", 0, Lane.URGENT),
        ("ed/2019/1.dcm", 2000, Lane.URGENT),
        ("ward/1_STAT.dcm", 1, Lane.URGENT),
        ("ward/ed/1.dcm", 1, Lane.ROUTINE),
        ("ward/1.dcm", 29, Lane.ROUTINE),
        ("ward/1.dcm", 31, Lane.BACKFILL),
        ("ward/1.dcm", -1, Lane.ROUTINE),
    ],
)
def test_a_lane_follows_from_key_and_age(key: str, days: int, lane: Lane) -> None:
    assert TRIAGE.lane(key, NOW - timedelta(days=days), NOW) is lane


def test_a_marker_is_an_object_of_that_very_name() -> None:
    assert TRIAGE.is_marker("a/b/_COMPLETE")
    assert TRIAGE.is_marker("_COMPLETE")
    assert not TRIAGE.is_marker("a/x_COMPLETE")
    assert not Triage().is_marker("a/")
