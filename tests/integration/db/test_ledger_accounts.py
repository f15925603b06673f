"""What the ledger tells people, on PostgreSQL."""

from tests.conformance.ledger_accounts import (
    AccountTests,
    PageTests,
    QueryCountTests,
    RegistryTests,
    SchemaTests,
    ViewTests,
)


class TestAccounts(AccountTests):
    """Counts, failures, retries."""


class TestPage(PageTests):
    """The run page's rows."""


class TestQueryCounts(QueryCountTests):
    """The price of each path is a constant."""


class TestRegistry(RegistryTests):
    """Models and settings."""


class TestSchema(SchemaTests):
    """Versions of the schema."""


class TestViews(ViewTests):
    """What analysts are promised."""
