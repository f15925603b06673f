"""The commands of the fleet: its processes, its queues, its back-fills. `cli` adds them to `nightread`.

As there: each body calls a function that a test can call without click, and heavy imports stay inside.
"""

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from db.records import Lane
from worker.models_cli import models
from worker.options import Command, setting, settings_from

_LANES = click.Choice([lane.value for lane in Lane])
_QUEUES = click.Choice(["convert", "caption"])
_DATABASE = setting("database_url", "--database")


def _fleet(command: Command) -> Command:
    """The options of every process of the fleet."""
    for decorate in (setting("source"), setting("model"), setting("cache"), setting("database_url", "--database")):
        command = decorate(command)
    return command


@click.command()
@_fleet
def up(**options: Any) -> None:
    """Run the whole fleet on this machine: intake, convert, caption and beat; SIGTERM drains it."""
    from worker.fleet import run_up

    sys.exit(run_up(settings_from(options), options))


@click.command()
@_fleet
def intake(**options: Any) -> None:
    """Take the bucket's events and record what they tell of: AMQP, SQS or Redis."""
    from worker.fleet import run_intake

    sys.exit(run_intake(settings_from(options)))


@click.group()
def worker() -> None:
    """Run one kind of worker."""


@worker.command("convert")
@_fleet
@setting("processes")
def worker_convert(**options: Any) -> None:
    """Convert objects as the ledger says they are due."""
    from worker.fleet import run_converter

    sys.exit(run_converter(settings_from(options)))


@worker.command("caption")
@_fleet
@setting("device")
@setting("batch_size")
@click.option(
    "--lane",
    "lanes",
    multiple=True,
    type=_LANES,
    help="Serve this lane only; may be given again. [default: all]",
)
def worker_caption(*, lanes: tuple[str, ...], **options: Any) -> None:
    """Caption studies as the lanes share them."""
    from worker.fleet import run_captioner

    sys.exit(run_captioner(settings_from(options), [Lane(lane) for lane in lanes] or list(Lane)))


@worker.command("training")
@_fleet
def worker_training(**options: Any) -> None:
    """Train models as `nightread train` asked for, one at a time."""
    from worker.fleet import run_trainer

    sys.exit(run_trainer(settings_from(options)))


@click.command()
@_fleet
def beat(**options: Any) -> None:
    """Keep the fleet's time: release, sweep, back-fill and listing. One is enough, two do no harm."""
    from worker.fleet import run_beat

    sys.exit(run_beat(settings_from(options)))


@click.command()
@click.argument("source", required=False)
@_DATABASE
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def scan(*, as_json: bool, **options: Any) -> None:
    """List the whole SOURCE into the ledger and tell what no event had told of; goes on where one was stopped."""
    from worker.bootstrap import Site
    from worker.scan import scan_source

    scan_source(Site(settings=settings_from(options)), as_json=as_json)


@click.command()
@click.argument("studies", nargs=-1, required=True, metavar="STUDY_INSTANCE_UID...")
@_DATABASE
@click.option("--lane", type=_LANES, help="And move them to this lane.")
def release(*, studies: tuple[str, ...], lane: str | None, **options: Any) -> None:
    """Take studies as they are, now, without waiting for more images."""
    from worker.wishes import release_studies

    sys.exit(release_studies(settings_from(options), studies, lane=Lane(lane) if lane else None))


@click.command()
@click.argument("config", required=False)
@_DATABASE
@click.option(
    "--promote", "promotes", is_flag=True, help="Publish what it makes; promote it if it is good enough."
)
@click.option("--list", "wants_list", is_flag=True, help="List the newest runs instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, with --list.")
def train(*, config: str | None, promotes: bool, wants_list: bool, as_json: bool, **options: Any) -> None:
    """Queue a training run of CONFIG, a TOML file on the training machine."""
    from worker.training import list_trainings, request_training

    if wants_list:
        list_trainings(settings_from(options), limit=20, as_json=as_json)
    elif config:
        request_training(settings_from(options), config, promotes=promotes)
    else:
        raise click.UsageError("name the CONFIG to train from, or give --list")


@click.command()
@click.argument("queue", type=_QUEUES)
@click.option("--reason", required=True, help="Why, for whoever reads the status.")
@_DATABASE
def pause(*, queue: str, reason: str, **options: Any) -> None:
    """Hold a queue: workers finish what they have and take no more."""
    from worker.ledger_view import pause_queue

    pause_queue(settings_from(options), queue, reason=reason)


@click.command()
@click.argument("queue", type=_QUEUES)
@_DATABASE
def resume(*, queue: str, **options: Any) -> None:
    """Let a paused queue go on."""
    from worker.ledger_view import resume_queue

    resume_queue(settings_from(options), queue)


@click.command()
@_DATABASE
@setting("model")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First StudyDate.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last StudyDate.")
@click.option("--modality", multiple=True, help="As in CR; may be given again.")
@click.option(
    "--selection",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with a StudyInstanceUID a line.",
)
@click.option("--per-hour", type=click.IntRange(min=1), help="Queue at most so many studies an hour.")
@click.option("--window", default="", help="Only then, as in 20:00-06:00 of this machine's clock.")
@click.option("--dry-run", is_flag=True, help="Count only.")
@click.option("--list", "wants_list", is_flag=True, help="List the back-fills instead.")
@click.option("--pause", "paused", type=int, metavar="ID", help="Pause one instead.")
@click.option("--resume", "resumed", type=int, metavar="ID", help="Let one go on instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def backfill(
    *,
    first: datetime | None,
    last: datetime | None,
    modality: tuple[str, ...],
    selection: Path | None,
    per_hour: int | None,
    window: str,
    dry_run: bool,
    wants_list: bool,
    paused: int | None,
    resumed: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Queue the studies that the current model has not seen, in the backfill lane."""
    from worker import backfill as back

    settings = settings_from(options)
    if wants_list:
        back.list_backfills(settings, as_json=as_json)
    elif paused is not None:
        back.pause_backfill(settings, paused)
    elif resumed is not None:
        back.resume_backfill(settings, resumed)
    else:
        wanted = back.Wanted(
            first_date=first.date() if first else None,
            last_date=last.date() if last else None,
            modalities=modality,
            file=selection,
            per_hour=per_hour,
            window=window,
        )
        back.start_backfill(settings, wanted, dry_run=dry_run, as_json=as_json)


COMMANDS = (up, intake, worker, beat, scan, release, backfill, train, pause, resume, models)
