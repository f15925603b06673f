"""What the ledger promises of listings, on PostgreSQL."""

from tests.conformance.ledger_scans import ScanTests


class TestScans(ScanTests):
    """Listings, and what they record."""
