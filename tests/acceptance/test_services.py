"""The same night with a real S3 bucket and a real PostgreSQL: same outcome, wrong credentials in one line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.engine import open_engine, reading
from tests.archives import write_bad_objects, write_studies
from tests.night import Night
from tests.services.postgres_service import create_database
from tests.services.s3_service import S3Service

STUDIES = 8


@pytest.fixture
def engine(server: str) -> Iterator[Engine]:
    engine = open_engine(create_database(server, "night"))
    yield engine
    engine.dispose()


@pytest.fixture
def night(tmp_path: Path, s3_service: S3Service, engine: Engine) -> Night:
    archive = tmp_path / "archive"
    write_studies(archive, STUDIES)
    write_bad_objects(archive)
    client = s3_service.client()
    client.create_bucket(Bucket="night")
    for file in sorted(archive.rglob("*.dcm")):
        key = f"studies/{file.relative_to(archive)}"
        client.put_object(Bucket="night", Key=key, Body=file.read_bytes())
    url = engine.url.render_as_string(hide_password=False)
    environment = s3_service.environment | {"NIGHTREAD_DATABASE_URL": url}
    return Night(home=tmp_path / "home", source="s3://night/studies/", env=environment)


def test_a_night_over_s3_and_postgresql(tmp_path: Path, night: Night, engine: Engine) -> None:
    result = night.run(expect=(1,))
    assert result["balance"]["studies"]["reported"] == STUDIES + 2  # and one of an object twice, one lateral alone
    assert night.run(expect=(1,))["settled"] == 0
    local = Night(home=tmp_path / "local", source=tmp_path / "archive")
    local.run(expect=(1,))
    query = "SELECT study_instance_uid, findings, impression FROM latest_report ORDER BY study_instance_uid"
    with reading(engine) as connection:
        rows = [tuple(row) for row in connection.execute(text(query))]
        sources = connection.execute(text('SELECT DISTINCT "bucket" FROM report_provenance')).scalars().all()
    assert rows == local.query(query)
    assert sources == ["s3://night"]
    wrong = Night(home=night.home, source=night.source, env=night.env | {"AWS_SECRET_ACCESS_KEY": "wrong"})
    refused = wrong.call("run")
    assert refused.returncode in (1, 2)
    assert "the secret key is wrong" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert night.run(expect=(1,))["balance"] == result["balance"]
