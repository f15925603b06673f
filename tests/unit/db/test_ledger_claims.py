"""What the ledger promises to workers, on SQLite."""

from tests.conformance.ledger_claims import ClaimTests, ConcurrencyTests, CrashTests, LockTests


class TestClaims(ClaimTests):
    """Leases, attempts and due times."""


class TestConcurrency(ConcurrencyTests):
    """Many at once."""


class TestCrash(CrashTests):
    """A transaction that breaks leaves nothing behind."""


class TestLock(LockTests):
    """One run at a time."""
