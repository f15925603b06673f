"""What messages and ledger cost per study, in CPU time of all processes together, without pixels and model.

    python -m tests.benchmarks.fleet_overhead [--studies 2000] [--beside 0]

Runs the fleet's real processes against real RabbitMQ and PostgreSQL, with a bucket in memory and with a converting
pool and a model that answer at once (`tests/overhead_stand_ins.py`). Every object is told by an event of its own.
Counts what the operating system says that intake, convert, caption and beat used from the first event to the last
report: starting up is left out, idling is in. Shows beside it what the broker and the database used. `--beside`
fills the ledger with so many finished studies first.
"""

import json
import tempfile
from pathlib import Path

import click
import psutil
from kombu import Connection
from sqlalchemy import text

from db.engine import writing
from db.registry import Registry
from tests.benchmarks.ledger_scale import fill
from tests.conformance.ledger_world import model_fact, run_fact
from tests.fleet import Fleet, running_fleet, wait_for
from tests.overhead_stand_ins import BUCKET, PREFIX
from tests.site import Site, running_site

KINDS = ("intake", "convert", "caption", "beat")
VIEWS = ("PA", "LL")
QUIET_SECONDS = "1"


@click.command()
@click.option("--studies", default=2000, show_default=True, help="Studies that arrive.")
@click.option("--beside", default=0, show_default=True, help="Finished studies that the ledger holds already.")
def main(studies: int, beside: int) -> None:
    """One measurement."""
    with (
        running_site() as site,
        tempfile.TemporaryDirectory() as folder,
        running_fleet(site, Path(folder), BUCKET, NIGHTREAD_QUIET_SECONDS=QUIET_SECONDS) as fleet,
    ):
        if beside:
            engine = fleet.engine()
            registry = Registry(engine)  # ids 1 and 1, which the filling's reports name
            registry.start_run(run_fact(registry.register_model(model_fact(version="old"))))
            with writing(engine) as connection:
                fill(connection, 1, beside)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))  # as autovacuum does within minutes
            engine.dispose()
        for kind in KINDS:
            fleet.start(kind, module="tests.overhead_stand_ins")
        fleet.wait_for_queue()
        fleet.wait_for_workers(len(KINDS))
        before = used(fleet)
        tell(fleet, studies)
        report = "SELECT count(*) FROM report WHERE id > :beside"
        seconds = wait_for(lambda: fleet.query(report, beside=beside)[0][0] == studies, 600, "all reports")
        show(before, used(fleet), studies, seconds, beside)


def tell(fleet: Fleet, studies: int) -> None:
    """Publish an event for each object, as Ceph writes them."""
    with Connection(fleet.site.rabbitmq.url) as connection:
        producer = connection.Producer(serializer="raw")
        for number in range(studies):
            for view in VIEWS:
                place = {"bucket": {"name": BUCKET}, "object": {"key": f"{PREFIX}{number}/{view}.dcm"}}
                record = {"eventSource": "ceph:s3", "eventName": "ObjectCreated:Put", "s3": place}
                producer.publish(json.dumps({"Records": [record]}).encode(), routing_key=fleet.queue)


def used(fleet: Fleet) -> dict[str, float]:
    """CPU seconds of each process so far, and of the services."""
    ours = {member.arguments[0]: cpu_seconds(member.process.pid) for member in fleet.members}
    return ours | {"RabbitMQ": rabbitmq_seconds(fleet.site), "PostgreSQL": postgres_seconds(fleet.site)}


def cpu_seconds(pid: int) -> float:
    """Of a process, its children, and those that ended."""
    process = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:4]) for each in (process, *process.children(recursive=True)))


def rabbitmq_seconds(site: Site) -> float:
    """Of the node."""
    return cpu_seconds(int((site.rabbitmq.folder / "server.pid").read_text()))


def postgres_seconds(site: Site) -> float:
    """Of the server and its backends."""
    return cpu_seconds(int((site.postgres.folder / "data" / "postmaster.pid").read_text().split()[0]))


def show(before: dict[str, float], after: dict[str, float], studies: int, seconds: float, beside: int) -> None:
    """One line for each process."""
    spent = {name: 1000 * (after[name] - before[name]) / studies for name in after}
    print(f"{studies:,} studies of {len(VIEWS)} objects beside {beside:,}, in {seconds:.0f} s; CPU ms per study:")
    for name, milliseconds in spent.items():
        print(f"  {name:<12}{milliseconds:8.2f}")
    print(f"  {'Nightread':<12}{sum(spent[kind] for kind in KINDS):8.2f}  (intake, convert, caption and beat)")


if __name__ == "__main__":
    main()
