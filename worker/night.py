"""The `run` command without click: one local run, its bar, its page, its balance."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import structlog

from pipeline.errors import NightreadError
from worker.benches import caption_bench, shadow_bench
from worker.bootstrap import DEPTH, Site, worker_name
from worker.captioning import Bench, CaptionThread
from worker.conversions import Conversions
from worker.local import LocalRun, Progress, RunResult, Throughput
from worker.page import write_page
from worker.pool import ConverterPool
from worker.settings import Settings
from worker.shelf import Model
from worker.terminal import DRAFT, balance_as_json, print_balance, print_json, progress_shown

DONE, FAILED, INTERRUPTED = 0, 1, 130

log = structlog.get_logger()


def run_night(
    settings: Settings,
    *,
    page: Path | None,
    limit: int | None,
    quiet_seconds: float,
    as_json: bool,
    overlays: bool = False,
) -> int:
    """Run until nothing is left; print the balance; return the exit code."""
    site = Site(settings=settings)
    began = datetime.now(UTC)
    with (
        progress_shown(quietly=as_json) as show,
        local_run(site, limit=limit, quiet_seconds=quiet_seconds, on_progress=show) as run,
        _stopped_by_signals(run.stop),
    ):
        result = run.run()
    target = page or settings.home / "run.html"
    explaining = site.load_captioner() if overlays and not result.interrupted else None
    write_page(site, result, began=began, target=target, explaining=explaining)
    _tell(result, target, as_json=as_json)
    return exit_code(result)


def _tell(result: RunResult, page: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "notice": DRAFT,
                "balance": balance_as_json(result.balance),
                "settled": result.settled,
                "seconds": round(result.seconds, 3),
                "studies_per_second": round(result.settled / result.seconds, 3),
                "interrupted": result.interrupted,
                "stopped_by": result.stopped_by,
                "page": str(page),
            }
        )
        return
    print_balance(result.balance)
    click.echo(f"This run took {result.settled:,} studies to the model in {result.seconds:.1f} s. {DRAFT}")
    click.echo(f"Run page: {page.resolve().as_uri()}")
    if result.stopped_by:
        raise NightreadError(f"{result.stopped_by}. The run was stopped; nothing is lost: run it again to go on")
    if result.interrupted:
        click.echo("Interrupted; nothing is lost: run it again to go on.", err=True)


def exit_code(result: RunResult) -> int:
    """0 when all that was to do is done; what waits for a limit or for quiet has no reason and is no failure."""
    if result.interrupted:
        return INTERRUPTED
    balance = result.balance
    failed = balance.objects["failed"] + balance.studies["failed"]
    deferred = any(reason.state == "waiting" for reason in (*balance.object_reasons, *balance.study_reasons))
    return FAILED if failed or deferred or result.stopped_by else DONE


@contextmanager
def local_run(
    site: Site, *, limit: int | None, quiet_seconds: float, on_progress: Callable[[Progress], None]
) -> Iterator[LocalRun]:
    """A run that is ready to go, under the run lock."""
    bucket = site.bucket  # before anything is made or started: a wrong source ends here
    site.require_outside_source()
    with site.ledger.run_lock("run"):
        site.ledger.free_leases("run:")
        site.ledger.hasten()
        site.pin_pseudonyms()
        owner = f"run:{worker_name()}"
        model = site.adopt_model()
        pool = _pool(site, model)
        throughput, trial = Throughput(), Throughput()
        try:
            bench = caption_bench(site, model, owner)
            bench = replace(bench, shadow=shadow_bench(site, bench, owner))
            captions = _captions(bench, limit, throughput, trial)
        except BaseException:
            pool.close()
            raise
        conversions = Conversions(
            site.ledger, pool, bucket=bucket.name, owner=owner, lease_seconds=site.settings.lease_seconds
        )
        try:
            yield LocalRun(
                ledger=site.ledger,
                bucket=bucket,
                conversions=conversions,
                captions=captions,
                throughput=throughput,
                owner=owner,
                quiet_seconds=quiet_seconds,
                limit=limit,
                on_progress=on_progress,
                stop=threading.Event(),
            )
        finally:
            _finish(site, bench, throughput)
            if bench.shadow is not None:
                _finish(site, bench.shadow, trial)


def _pool(site: Site, model: Model) -> ConverterPool:
    spec = replace(site.converter_spec, preprocessing=model.manifest.preprocessing)
    return ConverterPool(spec, processes=site.settings.cores, depth=DEPTH)


def _captions(bench: Bench, limit: int | None, throughput: Throughput, trial: Throughput) -> CaptionThread:
    return CaptionThread(
        bench,
        limit=limit,
        on_settled=lambda _, outcomes: throughput.count(len(outcomes)),
        on_shadow=lambda _, studies: trial.count(studies),
    )


def _finish(site: Site, bench: Bench, throughput: Throughput) -> None:
    timings = {"seconds": round(throughput.seconds, 3), "processes": site.settings.cores}
    site.registry.finish_run(bench.run_id, studies=throughput.settled, timings=timings)


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the run politely, the second at once."""

    def handle(number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        log.info("stopping", signal=signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
