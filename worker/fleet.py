"""The fleet's processes, and what each is built of: its composition root, as `bootstrap` is of everything else."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import structlog

from db.backlog import CAPTION, CONVERT
from db.lanes import Lanes
from db.records import Lane, ObjectOutcome, RevisionOutcome
from db.release import Patience
from db.scans import Scans
from worker import queues
from worker.backfill import feed_slice
from worker.benches import caption_bench, model_benches
from worker.bootstrap import DEPTH
from worker.captioning import Bench, Captioning
from worker.conversions import Conversions
from worker.crew import STALL_SECONDS, Crew, NotReady
from worker.fitting import Fitting
from worker.fleet_app import add_tasks, keep_time, work
from worker.health import work_is_due
from worker.incumbent import Incumbent
from worker.intake import run_intake as consume_events
from worker.ledger_gauges import LedgerGauges
from worker.metric_names import EventOutcome
from worker.metrics import Metrics
from worker.pool import ConverterPool
from worker.pulse import Pulse
from worker.settings import Settings, variable
from worker.slices import CaptionSlice, ConvertSlice, ReleaseSlice, ScanSlice, ScheduleSlice, SweepSlice
from worker.supervisor import Command, run_fleet
from worker.training import TrainingSlice

RELEASE_SECONDS = 1.0
SWEEP_SECONDS = 5.0
FEED_SECONDS = 5.0
SCAN_LOOK_SECONDS = 2.0  # between looks whether a listing is due, or goes on
TRAIN_LOOK_SECONDS = 60.0  # between looks whether enough reports are verified
CONTROL_THREADS = 4  # a scan must not hold up the release

log = structlog.get_logger()


def run_converter(settings: Settings) -> int:
    """`nightread worker convert`: permits of the convert queue, worked on by bounded processes."""
    crew = Crew(settings, CONVERT)
    crew.inspect()
    spec = replace(crew.site.converter_spec, preprocessing=crew.model.manifest.preprocessing)
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
        fitting = Fitting(pool, model=crew.model, aliases=crew.aliases, find=crew.site.shelf.model)

        def slice_of_the_champion() -> None:
            fitting()
            convert()

        add_tasks(crew.app, {"convert": _watched(pulse, "convert", slice_of_the_champion)})
        work(crew.app, name=crew.name, queues=[queues.CONVERT], threads=1, stop=crew.stop)
    return 0


def run_captioner(settings: Settings, lanes: Sequence[Lane]) -> int:
    """`nightread worker caption`: permits of the lanes' queues, one model on one device."""
    crew = Crew(settings, CAPTION)
    crew.inspect()
    share = _shared(lanes, settings)
    given: dict[str, Any] = {"ledger": crew.ledger, "lanes": share, "metrics": crew.metrics}
    bench = caption_bench(crew.site, crew.model, crew.owner, trigger="live", **given)
    is_due = work_is_due(crew.site.engine, CAPTION, seconds=STALL_SECONDS, lanes=lanes)
    if bench.gpu_memory:
        crew.metrics.watch_gpu_memory(bench.gpu_memory)
    detail = {"device": bench.device, "model": bench.model, "lanes": [lane.value for lane in lanes]}
    with ExitStack() as stack:
        stack.callback(crew.free)
        pulse = stack.enter_context(crew.at_work(is_due=is_due, detail=detail))
        incumbent = Incumbent(
            bench,
            aliases=crew.aliases,
            load=model_benches(crew.site, crew.owner, **given),
            close_run=crew.close_run,
            metrics=crew.metrics,
            on_change=lambda model: pulse.tell(model=model),
        )
        stack.callback(incumbent.close)
        incumbent.look()  # for the shadow
        incumbent.start()

        def count(at: Bench, outcomes: list[RevisionOutcome]) -> None:
            pulse.moved(len(outcomes))
            incumbent.count(at, len(outcomes))

        captioning = Captioning(lambda: incumbent.bench, on_settled=count, on_shadow=incumbent.count)
        caption = CaptionSlice(
            captioning=captioning, chunk=settings.chunk_size, dispatch=crew.dispatch, stop=crew.stop
        )
        add_tasks(crew.app, {"caption": _watched(pulse, "caption", caption)})
        names = [queues.CAPTION[lane] for lane in lanes]
        work(crew.app, name=crew.name, queues=names, threads=1, stop=crew.stop)
    return 0


def _shared(lanes: Sequence[Lane], settings: Settings) -> Lanes:
    """How one device is shared among lanes."""
    weights = {
        Lane.URGENT: settings.urgent_weight,
        Lane.ROUTINE: settings.routine_weight,
        Lane.BACKFILL: settings.backfill_weight,
    }
    return Lanes(weights={lane: weights[lane] for lane in lanes}, overdue_seconds=settings.overdue_seconds)


def run_intake(settings: Settings) -> int:
    """`nightread intake`: the bucket's events, recorded in the ledger."""
    crew = Crew(settings, "intake")
    crew.inspect()
    on_ours = not settings.events_url.get_secret_value()

    def is_due() -> bool:
        return on_ours and crew.messages().get(settings.events_queue, 0) > 0

    with (
        crew.at_work(is_due=is_due, detail={"queue": settings.events_queue}) as pulse,
        _stopped_by_signals(crew.stop),
    ):
        consume_events(
            crew.site,
            crew.stop,
            hint=lambda: crew.dispatch.conversions(1),
            counters=EventCounts(metrics=crew.metrics, pulse=pulse),
        )
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class EventCounts:
    """Counts events in the metrics, and tells the pulse that they move."""

    metrics: Metrics
    pulse: Pulse

    def event(self, outcome: EventOutcome, count: int = 1) -> None:
        """So many were dealt with like this."""
        self.metrics.event(outcome, count)
        self.pulse.moved(count)


def run_trainer(settings: Settings) -> int:
    """`nightread worker training`: one training run at a time, each in a process of its own."""
    crew = Crew(settings, "training")
    crew.inspect()
    with crew.at_work(is_due=crew.dispatch.trainings.has_work, detail={}) as pulse:
        training = TrainingSlice(
            trainings=crew.dispatch.trainings,
            owner=crew.owner,
            lease_seconds=settings.lease_seconds,
            pulse=pulse,
            stop=crew.stop,
            site=lambda: crew.site,
            metrics=crew.metrics,
        )
        add_tasks(crew.app, {"training": _watched(pulse, "training", training)}, acks_late=False)
        work(crew.app, name=crew.name, queues=[queues.TRAINING], threads=1, stop=crew.stop)
    return 0


def run_beat(settings: Settings) -> int:
    """`nightread beat`: release, sweep, back-fill and listing, each every so many seconds."""
    if settings.train_after and not settings.train_config:
        raise NotReady(
            "NIGHTREAD_TRAIN_AFTER is set, but no NIGHTREAD_TRAIN_CONFIG to train from; set both or none"
        )
    crew = Crew(settings, "beat")
    crew.inspect()
    LedgerGauges(crew.site.engine, messages=crew.messages).register(crew.metrics.registry)
    with crew.at_work(is_due=None, detail={}) as pulse:
        add_tasks(crew.app, {name: _watched(pulse, name, task) for name, task in _control(crew).items()})
        schedule = {"release": RELEASE_SECONDS, "sweep": SWEEP_SECONDS, "feed": FEED_SECONDS}
        if settings.scan_seconds:
            schedule["scan"] = SCAN_LOOK_SECONDS
        if settings.train_after:
            schedule["train"] = TRAIN_LOOK_SECONDS
        beat = keep_time(crew.app, schedule)
        work(crew.app, name=crew.name, queues=[queues.CONTROL], threads=CONTROL_THREADS, stop=crew.stop)
        beat.stop()
    return 0


def _control(crew: Crew) -> dict[str, Callable[[], object]]:
    settings = crew.settings
    quiet, longest = settings.quiet_seconds, settings.max_wait_seconds
    patience = Patience(quiet=quiet, longest=longest, marker=settings.marker, is_snapshot=False)

    def fill() -> None:
        if feed_slice(crew.site.engine, model_version_id=crew.champion_id, actor=crew.name).queued:
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
        "train": ScheduleSlice(
            trainings=crew.dispatch.trainings,
            config=settings.train_config,
            after=settings.train_after,
            actor=crew.name,
        ),
    }


def run_up(settings: Settings, options: Mapping[str, object]) -> int:
    """`nightread up`: the whole fleet on this machine; its processes get the command's options as environment."""
    Crew(settings, "up").inspect()
    kinds = {CONVERT: ("worker", CONVERT), CAPTION: ("worker", CAPTION), "beat": ("beat",)}
    if settings.source.startswith("s3://"):  # a folder sends no events
        kinds["intake"] = ("intake",)
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
def _stopped_by_signals(stop: Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`; Celery's workers see to that themselves."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
