"""What the ledger promises to a fleet, on SQLite."""

from tests.conformance.ledger_lanes import BreakerTests, CompletenessTests, LaneTests, LostWorkerTests


class TestLanes(LaneTests):
    """Who is served first."""


class TestLostWorkers(LostWorkerTests):
    """What a worker held when it died."""


class TestBreaker(BreakerTests):
    """A queue that fails without exception is held."""


class TestCompleteness(CompletenessTests):
    """When a study of a bucket that goes on filling is complete."""
