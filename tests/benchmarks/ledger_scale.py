"""How long the ledger's verbs take beside 1,000 studies and beside many more: they should take the same.

    python -m tests.benchmarks.ledger_scale [--database URL | --postgresql] [STUDIES…]

Fills an empty database (a temporary SQLite file, the one named, or a PostgreSQL of its own) with finished studies,
then takes chunks of 32 new studies through all verbs. Prints p50 and p99 of each verb in milliseconds.
"""

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import click
from sqlalchemy import Connection, text

from db import schema
from db.engine import open_engine, writing
from db.lanes import Lanes
from db.records import Lane
from tests.conformance.ledger_world import BUCKET, OWNER, World, converted, listed, make_world, reported
from tests.services.postgres_service import running_postgres

ROUNDS = 60
CHUNK = 32  # studies, of two objects each
Result = TypeVar("Result")

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT CAST(:first AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
TIME = "'2024-01-01 00:00:00.000000'"
# Table: its columns, and the row of study number i.
FILL = {
    "object": (
        "id, bucket, key, etag, size, last_modified, prefix, state, reason, attempts, next_attempt_at, created_at",
        f"i, 'old', 'k/' || i || '/a', 'e', 1, {TIME}, 'k/' || i || '/', 'converted', '', 0, {TIME}, {TIME}",
    ),
    "study": (
        (
            "id, study_instance_uid, patient_id, patient_name, accession_number, modality, study_description,"
            " lane, first_arrival_at, last_arrival_at, created_at"
        ),
        f"i, 'old.' || i, '', '', '', 'DX', '', 'routine', {TIME}, {TIME}, {TIME}",
    ),
    "instance": (
        (
            "id, study_id, object_id, sop_instance_uid, sop_class_uid, series_instance_uid, transfer_syntax_uid,"
            " photometric_interpretation, modality, body_part_examined, projection, projection_source, sha256,"
            " notes, created_at"
        ),
        f"i, i, i, 'old.' || i, '', '', '', '', 'DX', '', 'frontal', '', 'x', '[]', {TIME}",
    ),
    "study_revision": (
        "id, study_id, input_sha256, complete_because, state, reason, attempts, next_attempt_at, created_at",
        f"i, i, 'h', '', 'reported', '', 0, {TIME}, {TIME}",
    ),
    "revision_instance": ("revision_id, instance_id", "i, i"),
    "report": (
        (
            "id, study_id, revision_id, model_version_id, run_id, decoding_sha256, findings, impression,"
            " confidence, concepts, status, created_at"
        ),
        f"i, i, i, 1, 1, 'd', 'Clear.', 'Normal.', -1, '{{}}', 'draft', {TIME}",
    ),
    "report_input": ("report_id, instance_id, etag, sha256, used, reason", "i, i, 'e', 'x', true, 'frontal'"),
}
SERIALS = ("object", "study", "instance", "study_revision", "report")


class Watch:
    """Times by verb, in milliseconds."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)

    def __call__(self, verb: str, act: Callable[[], Result]) -> Result:
        """Do it, and note how long it took."""
        start = time.perf_counter()
        result = act()
        self.times[verb].append((time.perf_counter() - start) * 1000)
        return result


def fill(connection: Connection, first: int, last: int) -> None:
    """Add finished studies with these numbers."""
    for table, (columns, row) in FILL.items():
        statement = f"INSERT INTO {table} ({columns}) {NUMBERS} SELECT {row} FROM n"
        connection.execute(text(statement), {"first": first, "last": last})
    if connection.dialect.name == "postgresql":
        for table in SERIALS:
            connection.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
            )


def chunk(world: World, watch: Watch, number: int, lanes: Lanes) -> None:
    """Take new studies from the listing to their reports, half of them as a fleet's worker does, by lanes."""
    keys = [f"n/{number}/{study}/{view}" for study in range(CHUNK) for view in range(2)]
    ledger = world.ledger
    watch("record", lambda: ledger.record_objects(BUCKET, [listed(key) for key in keys]))
    works = watch("claim objects", world.claim)
    outcomes = [converted(work, work.key.rpartition("/")[0]) for work in works]
    watch("settle objects", lambda: ledger.settle_objects(outcomes, owner=OWNER))
    watch("release", world.release)
    watch("look for work", lambda: ledger.has_work(lanes=list(Lane)))
    revisions = watch("claim revisions", lambda: world.take(limit=CHUNK // 2))
    revisions += watch(
        "claim revisions by lanes",
        lambda: ledger.claim_revisions(owner=OWNER, limit=CHUNK, lease_seconds=60, lanes=lanes),
    )
    watch("settle revisions", lambda: world.settle(*(reported(work) for work in revisions)))
    watch("sweep", lambda: ledger.sweep(most_crashes=5))
    watch("counts", ledger.counts)


def probe(world: World, studies: int, numbers: range) -> None:
    """Print what a chunk costs beside so many studies."""
    watch, lanes = (
        Watch(),
        Lanes(weights={Lane.URGENT: 8, Lane.ROUTINE: 4, Lane.BACKFILL: 1}, overdue_seconds=1800),
    )
    for number in numbers:
        chunk(world, watch, number, lanes)
    watch("balance", world.ledger.balance)
    click.echo(f"beside {studies:>9,} studies, chunks of {CHUNK} studies, ms   p50      p99")
    for verb, times in watch.times.items():
        p99 = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
        click.echo(f"  {verb:<45}{statistics.median(times):9.2f}{p99:9.2f}")


def measure(url: str, sizes: list[int]) -> None:
    """Probe at each size, smallest first."""
    engine = open_engine(url)
    schema.require_current(engine, upgrade_empty=True)
    world, done = make_world(engine), 0
    for index, size in enumerate(sizes):
        with writing(engine) as connection:
            offset = connection.execute(text("SELECT coalesce(max(id), 0) FROM object")).scalar_one()
            fill(connection, int(offset) + 1, int(offset) + size - done)
        done = size
        if engine.dialect.name == "postgresql":
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
        probe(world, size, range(index * ROUNDS, (index + 1) * ROUNDS))
    engine.dispose()


@click.command()
@click.argument("sizes", nargs=-1, type=int)
@click.option("--database", help="An empty database.")
@click.option("--postgresql", is_flag=True, help="Start a PostgreSQL for it.")
def main(sizes: tuple[int, ...], *, database: str | None, postgresql: bool) -> None:
    """Probe at each size."""
    wanted = sorted(sizes) or [1_000, 100_000]
    with ExitStack() as stack:
        if postgresql:
            database = stack.enter_context(running_postgres("")).url
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        measure(database or f"sqlite:///{folder}/scale.db", wanted)


if __name__ == "__main__":
    main()
