"""What the ledger tells of the fleet, on SQLite."""

from tests.conformance.fleet_rows import BacklogTests, PauseTests, WorkerTests


class TestWorkers(WorkerTests):
    """Processes that tell of themselves."""


class TestPauses(PauseTests):
    """Queues that are held."""


class TestBacklog(BacklogTests):
    """What is left and how fast it goes."""
