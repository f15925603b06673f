"""How long a slice of a back-fill takes beside 1,000 studies and beside 1,000,000: it should take the same.

    python tests/benchmarks/backfill_scale.py [DATABASE_URL] [STUDIES…]

Fills an empty database (a temporary SQLite file unless a URL is given) with reported studies and feeds three
back-fills: one of every study, one of a modality that no study has, one of named studies. Prints p50 and p99 in
milliseconds, and what a dry run takes to count. Asserts nothing.
"""

import statistics
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import click
from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).parents[2]))

from db import backfills, schema
from db.backfills import Selection
from db.engine import open_engine, reading, sqlite_file, writing
from db.feeding import WALK, Fed, feed
from db.pace import Pace
from tests.benchmarks.ledger_scale import Watch, fill
from tests.conformance.ledger_world import World, make_world, model_fact

ROUNDS = 100
SHARE = 10  # studies of a slice at a rate: 7,200 an hour, a slice every 5 s
FREE = Pace(per_hour=None, window=None)
SELECTIONS = {
    f"every study, {SHARE} a slice": (Selection(), SHARE),
    f"every study, no rate, up to {WALK}": (Selection(), WALK),
    f"no study, {WALK} looked at": (Selection(modalities=("CR",)), WALK),
    f"named studies, {SHARE} a slice": (Selection(named=True), SHARE),
}


def probe(world: World, studies: int, version: str) -> None:
    """Print what slices cost beside so many studies."""
    watch, model = Watch(), world.registry.register_model(model_fact(version=version))
    for name, (selection, limit) in SELECTIONS.items():
        named = range(1, studies + 1, max(1, studies // 5000)) if selection.named else ()
        with writing(world.engine) as connection:
            started = backfills.start(
                connection, selection, model_version_id=model, pace=FREE, actor="bench", named=named
            )
        for _ in range(ROUNDS):
            fed = watch(name, partial(slice_of, world.engine, model, limit))
            settle(world.engine, model)
            if not fed.walked:
                break
        with writing(world.engine) as connection:
            backfills.pause(connection, started, actor="bench")
            connection.execute(text("UPDATE study_revision SET model_version_id = 1 WHERE model_version_id <> 1"))
        tidy(world.engine)
    with reading(world.engine) as connection:
        watch("a dry run", lambda: backfills.count(connection, Selection(), model_version_id=model))
    click.echo(f"beside {studies:>9,} studies, ms{'p50':>39}{'p99':>9}")
    for name, times in watch.times.items():
        p99 = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
        click.echo(f"  {name:<53}{statistics.median(times):9.2f}{p99:9.2f}   ({len(times)} slices)")


def slice_of(engine: Engine, model: int, limit: int) -> Fed:
    """One slice, its transaction included."""
    with writing(engine) as connection:
        return feed(connection, model_version_id=model, actor="bench", limit=limit, lane_full=10_000_000)


def settle(engine: Engine, model: int) -> None:
    """What waits is reported, as by workers that keep up."""
    done = f"UPDATE study_revision SET state = 'reported', model_version_id = {model} WHERE state = 'waiting'"
    with writing(engine) as connection:
        connection.execute(text(done))


def tidy(engine: Engine) -> None:
    """What the server does by itself in the time between."""
    if sqlite_file(engine) is None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def main(url: str | None, sizes: list[int]) -> None:
    """Probe at each size, smallest first."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(url or f"sqlite:///{folder}/scale.db")
        schema.require_current(engine, upgrade_empty=True)
        world, done = make_world(engine), 0
        for size in sizes:
            with writing(engine) as connection:
                fill(connection, done + 1, size)
                connection.execute(text("UPDATE study_revision SET model_version_id = 1"))
            done = size
            tidy(engine)
            probe(world, size, version=f"for {size}")
        engine.dispose()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    target = arguments.pop(0) if arguments and ":" in arguments[0] else None
    with suppress(KeyboardInterrupt):
        main(target, sorted(int(size) for size in arguments) or [1_000, 100_000])
