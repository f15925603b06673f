"""What the ledger promises of studies, on PostgreSQL."""

from tests.conformance.ledger_flow import FlowTests, ProvenanceTests


class TestFlow(FlowTests):
    """From objects to reports."""


class TestProvenance(ProvenanceTests):
    """No result without the bytes it comes from."""
