"""Versions, trials and the training schedule, on PostgreSQL."""

from tests.conformance.model_versions import PersonsWordTests, ShadowReportTests, VersionTests
from tests.conformance.training_schedule import ScheduleTests


class TestVersions(VersionTests):
    """Aliases, verdicts and their history."""


class TestShadowReports(ShadowReportTests):
    """Reports of a model on trial."""


class TestPersonsWord(PersonsWordTests):
    """Reports that a person verified or corrected."""


class TestSchedule(ScheduleTests):
    """Training runs that the schedule asks for."""
