"""What every process of the fleet has in common, and its one look at everything before any work is taken.

A process that cannot work as its settings say ends with one line that names the setting, and exit code 1. Later
faults of the services are waited out.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from threading import Event

import structlog

from db.aliases import CHAMPION
from db.errors import DatabaseError
from db.trainings import Trainings
from pipeline.errors import NightreadError
from worker import broker, queues
from worker.bootstrap import Site, worker_name
from worker.dispatch import Dispatch
from worker.fleet_app import Hints, make_app
from worker.health import Liveness, Readiness
from worker.health_server import health_served
from worker.local import Throughput
from worker.metrics import Metrics
from worker.patient import PatientLedger
from worker.pulse import Pulse
from worker.settings import Settings

STALL_SECONDS = 300.0  # without any movement while there is work: the process hangs

log = structlog.get_logger()


class NotReady(NightreadError):
    """A process of the fleet cannot work as its settings say; the message names the setting."""


class Crew:
    """What every process of the fleet has: its name, its settings, the ledger, the broker, pulse and metrics."""

    def __init__(self, settings: Settings, kind: str) -> None:
        self.kind = kind
        self.site = Site(settings=settings)
        self.settings = settings
        self.name = f"{kind}:{worker_name()}"
        self.owner = f"{self.name}:{secrets.token_hex(4)}"  # never that of a dead namesake in another container
        self.metrics = Metrics()
        self.stop = Event()

    def inspect(self) -> None:
        """Look at every service once, and make the queues. Raises NotReady."""
        settings = self.settings
        url = settings.broker_url.get_secret_value()
        with _named("NIGHTREAD_DATABASE_URL"):
            _ = self.site.engine
        broker.prepare(url)
        with _named("NIGHTREAD_SOURCE"):
            list(islice(self.site.bucket.list(), 1))
            self.site.require_outside_source()
        with _named("NIGHTREAD_MODEL"):
            self.model = self.site.adopt_model()
        with _named("NIGHTREAD_PSEUDONYM_KEY"):
            self.site.pin_pseudonyms()
        self.app = make_app(url)
        self.hints = Hints(self.app)
        self.ledger = PatientLedger(
            self.site.engine,
            patience_seconds=settings.lease_seconds,
            keeps_indications=settings.keeps_indications,
        )
        self.dispatch = Dispatch(
            ledger=self.ledger,
            trainings=Trainings(self.site.engine),
            sender=self.hints,
            waiting=self.messages,
        )

    def messages(self) -> dict[str, int]:
        """Messages that wait in each queue."""
        events = "" if self.settings.events_url.get_secret_value() else self.settings.events_queue
        return broker.waiting(self.settings.broker_url.get_secret_value(), queues.names(events))

    def aliases(self) -> dict[str, int]:
        """What the aliases point at now; nothing, where the setting names one model for good."""
        return self.site.shelf.versions.aliases() if self.site.follows_champion else {}

    @property
    def champion_id(self) -> int:
        """The version that the captioners work with, or will within a minute."""
        return self.aliases().get(CHAMPION, self.model.version_id)

    def _ask_bucket(self) -> None:
        list(islice(self.site.bucket.list(), 1))

    def _ask_database(self) -> None:
        self.ledger.has_work(lanes=[])

    @contextmanager
    def at_work(self, *, is_due: Callable[[], bool] | None, detail: Mapping[str, object]) -> Iterator[Pulse]:
        """The block is this process's life: it has a heartbeat, and answers for its health.

        A process that has a model has loaded it by then, so readiness need not ask for it.
        """
        ready = Readiness({"broker": self.messages, "database": self._ask_database, "bucket": self._ask_bucket})
        pulse = Pulse(self.site.engine, kind=self.kind, name=self.name, stall_seconds=STALL_SECONDS, detail=detail)
        live = Liveness(pulse, is_due=is_due, missing=ready.failures)
        with (
            pulse,
            health_served(self.settings.metrics_port, self.metrics.registry, live=live, ready=ready),
        ):
            log.info("started", kind=self.kind, worker=self.name)
            yield pulse
            log.info("ended", kind=self.kind, worker=self.name)

    def close_run(self, run_id: int, throughput: Throughput) -> None:
        """Tell what this process captioned; it is no loss where the database is away."""
        timings = {"seconds": round(throughput.seconds, 3)}
        try:
            self.site.registry.finish_run(run_id, studies=throughput.settled, timings=timings)
        except DatabaseError as error:
            log.warning("run_not_closed", reason=str(error))

    def free(self) -> None:
        """Give back what this process still has claimed; a database that is away lets the leases run out."""
        try:
            self.ledger.free_leases(self.owner)
        except DatabaseError as error:
            log.warning("leases_not_freed", reason=str(error))


@contextmanager
def _named(setting: str) -> Iterator[None]:
    """What goes wrong in the block is told with the setting that it comes from."""
    try:
        yield
    except (NightreadError, DatabaseError) as error:
        raise NotReady(f"{setting}: {error}") from error
