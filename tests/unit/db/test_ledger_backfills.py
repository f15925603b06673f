"""What back-fills and operators' wishes promise, on SQLite."""

from tests.conformance.ledger_backfills import FeedingTests, SelectionTests
from tests.conformance.ledger_wishes import RecaptionTests, WishTests


class TestSelection(SelectionTests):
    """Which studies are meant."""


class TestFeeding(FeedingTests):
    """Slices, limits, pauses."""


class TestRecaption(RecaptionTests):
    """What people see of a study that goes to a model again."""


class TestWish(WishTests):
    """Take this one now."""
