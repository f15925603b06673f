"""What the ledger promises of indication, age and sex, on PostgreSQL."""

from tests.conformance.ledger_backgrounds import BackgroundTests, ForgettingTests


class TestBackground(BackgroundTests):
    """From headers and sidecars to the model."""


class TestForgetting(ForgettingTests):
    """A text stays as long as it is needed."""
