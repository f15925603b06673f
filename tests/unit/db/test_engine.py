"""Opening databases, and each trouble with one told in one line: what, the value, what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from psycopg import OperationalError
from psycopg.errors import DeadlockDetected, DiskFull, InsufficientPrivilege
from sqlalchemy import Engine, event, insert, select, text, update
from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.base import UtcIn, UtcNow
from db.engine import open_engine, reading, writing
from db.errors import (
    DatabaseDamaged,
    DatabaseError,
    DatabaseFault,
    DatabaseFull,
    DatabaseLocked,
    DatabaseMisconfigured,
    DatabaseUnavailable,
    SchemaMismatch,
    translate,
)
from db.ledger import Ledger
from db.tables import Study


@contextmanager
def opened(url: str, *, lock_wait_seconds: float = 30) -> Iterator[Engine]:
    """An engine that is disposed of."""
    engine = open_engine(url, lock_wait_seconds=lock_wait_seconds)
    try:
        yield engine
    finally:
        engine.dispose()


def refusal(kind: type[DatabaseError], url: str) -> str:
    """What a person reads who asks for this database."""
    with pytest.raises(kind) as caught, opened(url) as engine, writing(engine):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("url", ["postgres://u:secret@h/n", "postgresql://u:secret@h/n"])
def test_postgresql_is_spoken_to_through_psycopg(url: str) -> None:
    with opened(url) as engine:
        assert engine.url.drivername == "postgresql+psycopg"


def test_options_of_the_url_are_kept() -> None:
    with opened("postgresql://u@h/n?connect_timeout=3&sslmode=require") as engine:
        assert dict(engine.url.query) == {"connect_timeout": "3", "sslmode": "require"}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://u:secret@h/n", "of no kind that Nightread works with"),
        ("nonsense:secret", "cannot be read"),
        ("postgresql://u:secret@h:port/n", "cannot be read"),
        ("sqlite://", "in memory keeps nothing"),
        ("sqlite:///:memory:", "in memory keeps nothing"),
        ("sqlite:////no/such/folder/x.db", "there is no folder '/no/such/folder'; make it first"),
    ],
)
def test_an_address_that_cannot_work_is_refused_at_once(url: str, told: str) -> None:
    with pytest.raises(DatabaseMisconfigured, match=told) as caught:
        open_engine(url)
    assert "secret" not in str(caught.value)
    assert not caught.value.retryable


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    told = refusal(DatabaseUnavailable, "postgresql://u:secret@127.0.0.1:1/n")
    assert "does not answer; check that the server runs" in told
    assert told.startswith("database 'postgresql://u:***@127.0.0.1:1/n' does not")


def test_a_host_that_has_no_address_is_told() -> None:
    told = refusal(DatabaseUnavailable, "postgresql://u@host.invalid/n")
    assert "cannot be resolved; check the host" in told


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database, but a long enough text to look like one" * 100)
    assert "is not a SQLite database; name another" in refusal(DatabaseDamaged, f"sqlite:///{tmp_path / 'x.db'}")


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    assert "cannot be opened" in refusal(DatabaseMisconfigured, f"sqlite:///{tmp_path}")


def test_a_read_only_file_is_told(engine: Engine) -> None:
    with opened(str(engine.url)) as read_only:
        event.listen(read_only, "connect", lambda connection, _: connection.execute("PRAGMA query_only = ON"))
        with pytest.raises(DatabaseMisconfigured, match="is read-only; give this user"):
            Ledger(read_only).free_leases("x")


def test_a_database_that_others_hold_is_told_and_may_be_tried_again(engine: Engine) -> None:
    with writing(engine), opened(str(engine.url), lock_wait_seconds=0.01) as other:
        with pytest.raises(DatabaseLocked, match="locked by another process") as caught:
            Ledger(other).free_leases("x")
        assert caught.value.retryable
        with reading(other) as connection:
            assert connection.execute(select(Study.id)).all() == []


def test_a_full_disk_is_told_and_nothing_is_written(engine: Engine) -> None:
    rows = [{"key": f"{number}"} for number in range(10_000)]
    with opened(str(engine.url)) as full:
        event.listen(full, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
        with pytest.raises(DatabaseFull, match="disk is full; make room"), writing(full) as connection:
            connection.execute(text("INSERT INTO setting VALUES (:key, 'x', 'now')"), rows)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM setting")).scalar_one() == 0


def test_a_database_without_tables_is_told(tmp_path: Path) -> None:
    with (
        opened(f"sqlite:///{tmp_path / 'x.db'}") as engine,
        pytest.raises(SchemaMismatch, match="lacks tables; run `nightread db upgrade`"),
    ):
        Ledger(engine).balance()


def test_a_fault_of_ours_tells_no_values(engine: Engine) -> None:
    with pytest.raises(DatabaseFault) as caught, writing(engine) as connection:
        connection.execute(insert(Study), [{"study_instance_uid": "1.2.3.patient"}])
    assert "NOT NULL" in str(caught.value)
    assert "patient'" not in str(caught.value)
    assert "1.2.3" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_write_that_breaks_is_undone(engine: Engine) -> None:
    with pytest.raises(DatabaseFault), writing(engine) as connection:
        connection.execute(text("INSERT INTO setting VALUES (:key, 'v', 'now')"), [{"key": "k"}, {"key": None}])
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM setting")).scalar_one() == 0


def test_foreign_keys_are_enforced(engine: Engine) -> None:
    with pytest.raises(DatabaseFault, match="FOREIGN KEY"), writing(engine) as connection:
        connection.execute(text("INSERT INTO revision_instance VALUES (1, 1)"))


def test_the_clock_is_the_databases_and_in_utc(engine: Engine) -> None:
    with reading(engine) as connection:
        now, later, earlier = connection.execute(select(UtcNow(), UtcIn(90.5), UtcIn(-60))).one()
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)
    assert later - now == timedelta(seconds=90.5)
    assert now - earlier == timedelta(seconds=60)


def test_times_are_kept_in_utc_and_naive_ones_are_refused(engine: Engine) -> None:
    summer = datetime(2024, 6, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    row = dict.fromkeys(("patient_id", "patient_name", "accession_number", "modality", "study_description"), "")
    arrivals = {"first_arrival_at": summer, "last_arrival_at": summer}
    with writing(engine) as connection:
        connection.execute(insert(Study), [{"study_instance_uid": "1", **row, **arrivals}])
        read = connection.execute(select(Study.first_arrival_at)).scalar_one()
        assert (read, read.tzinfo) == (summer, UTC)
        assert (
            connection.execute(text("SELECT first_arrival_at FROM study")).scalar_one().startswith("2024-06-01 00")
        )
    with pytest.raises(DatabaseFault, match="without its zone"), writing(engine) as connection:
        connection.execute(update(Study).values(first_arrival_at=summer.replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PoolTimeout("QueuePool limit"), DatabaseUnavailable),
        (InvalidRequestError("two\nlines"), DatabaseFault),
        (DBAPIError("SELECT", {}, DiskFull("could not extend file")), DatabaseFull),
        (DBAPIError("SELECT", {}, DeadlockDetected("deadlock")), DatabaseLocked),
        (DBAPIError("SELECT", {}, InsufficientPrivilege("denied")), DatabaseMisconfigured),
        (
            DBAPIError("SELECT", {}, OperationalError("SSL error: certificate verify failed")),
            DatabaseMisconfigured,
        ),
        (DBAPIError("SELECT", {}, OperationalError("EOF"), connection_invalidated=True), DatabaseUnavailable),
        (DBAPIError("SELECT", {}, OperationalError('connection to "role-db" failed')), DatabaseUnavailable),
    ],
)
def test_translate_tells_the_condition(error: SQLAlchemyError, kind: type[DatabaseError]) -> None:
    told = translate(error)
    assert type(told) is kind
    assert str(told).startswith("the database")
    assert "\n" not in str(told)
