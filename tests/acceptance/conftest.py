"""The fleet's surroundings: the session's services, introduced to each other, and a fleet for each test."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import Fleet, running_fleet
from tests.services.postgres_service import PostgreSQL
from tests.services.rabbitmq_service import RabbitMQ
from tests.services.s3_service import S3Service
from tests.site import Site, introduce


@pytest.fixture(scope="session")
def site(postgres: PostgreSQL, rabbitmq: RabbitMQ, s3_service: S3Service) -> Site:
    """The session's services."""
    return introduce(postgres, rabbitmq, s3_service)


@pytest.fixture
def fleet(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """A fleet without processes yet; what they said is shown when a test fails."""
    name = re.sub(r"\W|_", "", request.node.name.removeprefix("test_").lower())[:40]
    with running_fleet(site, tmp_path / "home", name) as fleet:
        yield fleet
        print(fleet.logs())  # noqa: T201
