"""What only a server can do: refuse a password, lack a database, vanish; and lock across processes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from db import schema
from db.engine import open_engine, reading, writing
from db.errors import (
    DatabaseError,
    DatabaseLocked,
    DatabaseMisconfigured,
    DatabaseUnavailable,
    SchemaMismatch,
)
from db.ledger import Ledger
from tests.conformance.ledger_world import World


def refusal(kind: type[DatabaseError], url: str) -> str:
    """What a person reads who asks for this database."""
    engine = open_engine(url)
    try:
        with pytest.raises(kind) as caught, reading(engine) as connection:
            connection.execute(text("SELECT 1"))
    finally:
        engine.dispose()
    assert "\n" not in str(caught.value)
    assert "wrong-secret" not in str(caught.value)
    return str(caught.value)


def test_a_wrong_password_is_told(server: str) -> None:
    url = make_url(server).set(password="wrong-secret").render_as_string(hide_password=False)
    assert "refused the password; check user and password" in refusal(DatabaseMisconfigured, url)


def test_a_wrong_user_is_told(server: str) -> None:
    url = make_url(server).set(username="nobody").render_as_string(hide_password=False)
    assert "check user and password" in refusal(DatabaseMisconfigured, url)


def test_a_missing_database_is_told(server: str) -> None:
    url = make_url(server).set(database="no_such").render_as_string(hide_password=False)
    assert "has no database of this name; create it" in refusal(DatabaseMisconfigured, url)


def test_a_database_without_tables_is_told(empty_url: str) -> None:
    engine = open_engine(empty_url)
    try:
        with pytest.raises(SchemaMismatch, match="lacks tables; run `nightread db upgrade`"):
            Ledger(engine).balance()
    finally:
        engine.dispose()


def test_a_cut_connection_is_told_and_healed(engine: Engine) -> None:
    kill = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DatabaseUnavailable) as caught, writing(engine) as connection:
        connection.execute(kill)
    assert caught.value.retryable
    assert Ledger(engine).balance().studies["reported"] == 0


def test_a_table_under_lock_is_told(engine: Engine) -> None:
    with writing(engine) as holder:
        holder.execute(text("LOCK TABLE study IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(DatabaseLocked, match="locked by another session"), writing(engine) as connection:
            connection.execute(text("LOCK TABLE study IN ACCESS SHARE MODE NOWAIT"))


def test_times_are_utc_whatever_the_session_says(world: World) -> None:
    world.convert(s1=["s1/a"])
    with world.engine.connect() as connection:
        connection.execute(text("SET TIME ZONE 'America/New_York'"))
        session_time = connection.execute(text("SELECT first_arrival_at FROM study")).scalar_one()
    world.release()
    (work,) = world.take()
    assert work.instances[0].last_modified == session_time
    assert str(work.instances[0].last_modified.tzinfo) == "UTC"


def test_two_processes_upgrade_once(empty_url: str) -> None:
    program = (
        "import sys; from db import schema; from db.engine import open_engine;"
        "schema.require_current(open_engine(sys.argv[1]), upgrade_empty=True)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def upgrade(_: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, empty_url]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    with ThreadPoolExecutor(3) as pool:
        for told in pool.map(upgrade, range(3)):
            assert told.returncode == 0, told.stderr
    engine = open_engine(empty_url)
    try:
        assert schema.check(engine) == []
    finally:
        engine.dispose()


def test_claims_and_counts_are_answered_by_indexes(world: World) -> None:
    """Sequential scans are forbidden: a plan that still has one has no index to use."""
    queries = {
        "claim objects": "SELECT id FROM object WHERE state = 'pending' AND next_attempt_at <= now() ORDER BY id",
        "claim revisions": "SELECT id FROM study_revision WHERE state = 'waiting' ORDER BY id",
        "dirty studies": "SELECT id FROM study WHERE dirty_since IS NOT NULL ORDER BY id",
        "folder": "SELECT id FROM object WHERE bucket = 'b' AND prefix = 'p' AND state = 'pending'",
        "newest": "SELECT id FROM study_revision WHERE study_id = 1 AND superseded_at IS NULL",
        "counts": "SELECT state, count(*) FROM study_revision WHERE superseded_at IS NULL GROUP BY state",
        "current report": "SELECT id FROM report WHERE study_id = 1 AND status <> 'superseded'",
    }
    with world.engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        connection.execute(text("SET enable_sort = off"))
        for name, query in queries.items():
            plan = "\n".join(connection.execute(text(f"EXPLAIN {query}")).scalars())
            assert "Seq Scan" not in plan, f"{name}: {plan}"
            assert "Sort" not in plan, f"{name}: {plan}"
