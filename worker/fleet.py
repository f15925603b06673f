"""The fleet's processes: what each is built of, and the one look at everything before any work is taken.

A process that cannot work as its settings say ends with one line that names the setting, and exit code 1. Later
faults of the services are waited out. The composition root of the fleet, as `bootstrap` is of everything else.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from threading import Event

import structlog

from db.backlog import CAPTION, CONVERT
from db.errors import DatabaseError
from db.lanes import Lanes
from db.records import Lane, ObjectOutcome
from db.release import Patience
from db.scans import Scans
from db.trainings import Trainings
from pipeline.errors import NightreadError
from worker import broker, queues
from worker.backfill import feed_slice
from worker.bootstrap import DEPTH, Site, caption_bench, worker_name
from worker.captioning import Captioning
from worker.conversions import Conversions
from worker.dispatch import Dispatch
from worker.fleet_app import Hints, add_tasks, keep_time, make_app, work
from worker.health import Liveness, Readiness, work_is_due
from worker.health_server import health_served
from worker.ledger_gauges import LedgerGauges
from worker.metrics import Metrics
from worker.patient import PatientLedger
from worker.pool import ConverterPool
from worker.provenance import model_fact
from worker.pulse import Pulse
from worker.settings import Settings, variable
from worker.slices import CaptionSlice, ConvertSlice, ReleaseSlice, ScanSlice, SweepSlice
from worker.supervisor import Command, run_fleet
from worker.training import TrainingSlice

RELEASE_SECONDS = 1.0
SWEEP_SECONDS = 5.0
FEED_SECONDS = 5.0
SCAN_LOOK_SECONDS = 2.0  # between looks whether a listing is due, or goes on
STALL_SECONDS = 300.0
CONTROL_THREADS = 4  # a scan must not hold up the release

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
            _ = self.site.manifest
            self.model_version_id = self.site.registry.register_model(model_fact(self.site.manifest))
        with _named("NIGHTREAD_PSEUDONYM_KEY"):
            self.site.pin_pseudonyms()
        self.app = make_app(url)
        self.hints = Hints(self.app)
        self.ledger = PatientLedger(self.site.engine, patience_seconds=settings.lease_seconds)
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

    def free(self) -> None:
        """Give back what this process still has claimed; a database that is away lets the leases run out."""
        try:
            self.ledger.free_leases(self.owner)
        except DatabaseError as error:
            log.warning("leases_not_freed", reason=str(error))


def run_converter(settings: Settings) -> int:
    """`nightread worker convert`: permits of the convert queue, worked on by bounded processes."""
    crew = Crew(settings, CONVERT)
    crew.inspect()
    spec = crew.site.converter_spec
    bucket = crew.site.bucket.name
    is_due = work_is_due(crew.site.engine, CONVERT, seconds=STALL_SECONDS, bucket=bucket)
    pool = ConverterPool(spec, processes=settings.cores, depth=DEPTH)
    with ExitStack() as stack:
        stack.callback(crew.free)
        pulse = stack.enter_context(crew.at_work(is_due=is_due, detail={"processes": settings.cores}))

        def count(outcomes: list[ObjectOutcome]) -> None:
            pulse.moved(len(outcomes))
            crew.metrics.settled(CONVERT, [outcome.state for outcome in outcomes])

        conversions = Conversions(
            crew.ledger,
            pool,
            bucket=bucket,
            owner=crew.owner,
            lease_seconds=settings.lease_seconds,
            heeds_pause=True,
            on_settled=count,
        )
        stack.callback(conversions.close)
        convert = ConvertSlice(
            conversions=conversions, chunk=settings.chunk_size, dispatch=crew.dispatch, stop=crew.stop
        )
        add_tasks(crew.app, {"convert": _watched(pulse, "convert", convert)})
        work(crew.app, name=crew.name, queues=[queues.CONVERT], threads=1, stop=crew.stop)
    return 0


def run_captioner(settings: Settings, lanes: Sequence[Lane]) -> int:
    """`nightread worker caption`: permits of the lanes' queues, one model on one device."""
    crew = Crew(settings, CAPTION)
    crew.inspect()
    weights = {
        Lane.URGENT: settings.urgent_weight,
        Lane.ROUTINE: settings.routine_weight,
        Lane.BACKFILL: settings.backfill_weight,
    }
    share = Lanes(weights={lane: weights[lane] for lane in lanes}, overdue_seconds=settings.overdue_seconds)
    bench = caption_bench(
        crew.site,
        crew.site.converter_spec,
        crew.owner,
        ledger=crew.ledger,
        lanes=share,
        metrics=crew.metrics,
        trigger="live",
    )
    is_due = work_is_due(crew.site.engine, CAPTION, seconds=STALL_SECONDS, lanes=lanes)
    if bench.gpu_memory:
        crew.metrics.watch_gpu_memory(bench.gpu_memory)
    detail = {"device": bench.device, "model": bench.model, "lanes": [lane.value for lane in lanes]}
    with ExitStack() as stack:
        stack.callback(crew.free)
        pulse = stack.enter_context(crew.at_work(is_due=is_due, detail=detail))
        captioning = Captioning(bench, on_settled=lambda outcomes: pulse.moved(len(outcomes)))
        caption = CaptionSlice(
            captioning=captioning, chunk=settings.chunk_size, dispatch=crew.dispatch, stop=crew.stop
        )
        add_tasks(crew.app, {"caption": _watched(pulse, "caption", caption)})
        names = [queues.CAPTION[lane] for lane in lanes]
        work(crew.app, name=crew.name, queues=names, threads=1, stop=crew.stop)
    return 0


def run_trainer(settings: Settings) -> int:
    """`nightread worker training`: one training run at a time, each in a process of its own."""
    crew = Crew(settings, "training")
    crew.inspect()
    with crew.at_work(is_due=None, detail={}) as pulse:
        training = TrainingSlice(
            trainings=crew.dispatch.trainings,
            owner=crew.owner,
            lease_seconds=settings.lease_seconds,
            pulse=pulse,
            stop=crew.stop,
        )
        add_tasks(crew.app, {"training": _watched(pulse, "training", training)}, acks_late=False)
        work(crew.app, name=crew.name, queues=[queues.TRAINING], threads=1, stop=crew.stop)
    return 0


def run_beat(settings: Settings) -> int:
    """`nightread beat`: release, sweep, back-fill and listing, each every so many seconds."""
    crew = Crew(settings, "beat")
    crew.inspect()
    LedgerGauges(crew.site.engine, messages=crew.messages).register(crew.metrics.registry)
    with crew.at_work(is_due=None, detail={}) as pulse:
        add_tasks(crew.app, {name: _watched(pulse, name, task) for name, task in _control(crew).items()})
        schedule = {"release": RELEASE_SECONDS, "sweep": SWEEP_SECONDS, "feed": FEED_SECONDS}
        if settings.scan_seconds:
            schedule["scan"] = SCAN_LOOK_SECONDS
        beat = keep_time(crew.app, schedule)
        work(crew.app, name=crew.name, queues=[queues.CONTROL], threads=CONTROL_THREADS, stop=crew.stop)
        beat.stop()
    return 0


def _control(crew: Crew) -> dict[str, Callable[[], object]]:
    settings = crew.settings
    patience = Patience(
        quiet=settings.quiet_seconds,
        longest=settings.max_wait_seconds,
        marker=settings.marker,
        is_snapshot=False,
    )

    def fill() -> None:
        if feed_slice(crew.site.engine, model_version_id=crew.model_version_id, actor=crew.name).queued:
            crew.dispatch.captions(1)

    return {
        "release": ReleaseSlice(
            ledger=crew.ledger, patience=patience, dispatch=crew.dispatch, metrics=crew.metrics
        ),
        "sweep": SweepSlice(
            ledger=crew.ledger,
            dispatch=crew.dispatch,
            metrics=crew.metrics,
            most_crashes=settings.attempts,
            breaker_share=settings.breaker_share,
            breaker_least=settings.breaker_least,
        ),
        "feed": fill,
        "scan": ScanSlice(
            scans=Scans(crew.site.engine),
            bucket=crew.site.bucket,
            owner=crew.owner,
            every_seconds=settings.scan_seconds,
            dispatch=crew.dispatch,
            metrics=crew.metrics,
        ),
    }


def run_up(settings: Settings, options: Mapping[str, object]) -> int:
    """`nightread up`: the whole fleet on this machine; its processes get the command's options as environment."""
    Crew(settings, "up").inspect()
    kinds = {"intake": ("intake",), CONVERT: ("worker", CONVERT), CAPTION: ("worker", CAPTION), "beat": ("beat",)}
    commands = [Command(kind=kind, arguments=arguments) for kind, arguments in kinds.items()]
    given = {variable(name): str(value) for name, value in options.items() if value is not None}
    return run_fleet(commands, port=settings.metrics_port, environment=os.environ | given)


def _watched(pulse: Pulse, what: str, task: Callable[[], object]) -> Callable[[], None]:
    """The task, with the pulse told of it."""

    def run() -> None:
        with pulse.working(what):
            task()

    return run


@contextmanager
def _named(setting: str) -> Iterator[None]:
    """What goes wrong in the block is told with the setting that it comes from."""
    try:
        yield
    except (NightreadError, DatabaseError) as error:
        raise NotReady(f"{setting}: {error}") from error
