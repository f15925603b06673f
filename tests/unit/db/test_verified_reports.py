"""What a person stands for, on SQLite."""

from tests.conformance.verified_reports import VerifiedTests


class TestVerified(VerifiedTests):
    """Whose text, about which images."""
