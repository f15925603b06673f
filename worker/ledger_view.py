"""What a person asks of the ledger between runs: status, reports, retry, pauses, the schema. One function each."""

from dataclasses import asdict
from typing import Any, Literal

import click

from db.engine import open_engine, writing
from db.entries import StudyEntry
from db.pauses import pause, paused, resume
from db.schema import check, current, upgrade
from worker.bootstrap import Site
from worker.fleet_view import fleet_as_json, print_fleet, view_fleet
from worker.settings import Settings
from worker.terminal import DRAFT, balance_as_json, print_balance, print_json, print_report


def show_status(settings: Settings, *, failures: int, as_json: bool) -> None:
    """The balance, what failed, by the key or the study that a person can look for, and the fleet if any."""
    site = _existing(settings)
    balance, failed = site.ledger.balance(), site.ledger.failures(failures)
    studies_left = balance.studies["waiting"] + balance.studies["working"]
    fleet = view_fleet(settings, site.engine, studies_left=studies_left)
    if as_json:
        print_json(
            {
                "notice": DRAFT,
                "studies": balance.studies,
                "objects": balance.objects,
                "balance": balance_as_json(balance),
                "failures": [asdict(failure) for failure in failed],
                **fleet_as_json(fleet),
            }
        )
        return
    print_balance(balance)
    for failure in failed:
        where = f" {failure.bucket}/{failure.key}" if failure.key else ""
        click.echo(f"{failure.kind} {failure.id}{where}: {failure.reason}")
    if failed:
        click.echo("`nightread retry` puts what failed back to work.")
    print_fleet(fleet)


def show_reports(settings: Settings, *, last: int, as_json: bool) -> None:
    """The newest drafts."""
    entries = list(_existing(settings).ledger.study_entries(section="reported", limit=last))
    if as_json:
        print_json({"notice": DRAFT, "reports": [_as_json(entry) for entry in entries]})
        return
    for entry in reversed(entries):
        if entry.report:
            print_report(
                heading=f"Study {entry.study_id}, {entry.modality} of {entry.study_date or 'unknown date'}",
                findings=entry.report.findings,
                impression=entry.report.impression,
                confidence=entry.report.confidence,
                model=f"{entry.report.model_name} {entry.report.model_version}",
            )
    if not entries:
        click.echo("There are no reports yet: `nightread run SOURCE` writes them.")


def retry_failed(settings: Settings, *, what: Literal["objects", "studies", "all", "skipped"]) -> None:
    """Put what failed, or was skipped, back to work."""
    count = _existing(settings).ledger.retry(what=what)
    click.echo(f"{count:,} put back to work; the next `nightread run` takes them.")


def pause_queue(settings: Settings, queue: str, *, reason: str, actor: str = "operator") -> None:
    """Hold a queue: workers finish what they have and take no more."""
    with writing(_existing(settings).engine) as connection:
        is_new = pause(connection, queue, reason=reason, actor=actor)
        (held,) = [item for item in paused(connection) if item.queue == queue]
    if is_new:
        click.echo(f"{queue} is paused; workers finish what they have. `nightread resume {queue}` lets it go.")
    else:
        click.echo(f"{queue} was paused before, by {held.actor}: {held.reason}. That stays.")


def resume_queue(settings: Settings, queue: str, *, actor: str = "operator") -> None:
    """Let a queue go."""
    with writing(_existing(settings).engine) as connection:
        was_held = resume(connection, queue, actor=actor)
    click.echo(f"{queue} goes on." if was_held else f"{queue} was not paused.")


def _existing(settings: Settings) -> Site:
    site = Site(settings=settings)
    site.require_ledger()
    return site


def upgrade_schema(settings: Settings) -> None:
    """Bring the schema to this version."""
    Site(settings=settings).make_home()
    engine = open_engine(settings.database)
    upgrade(engine)
    click.echo(f"The schema is at {current(engine)}.")


def check_schema(settings: Settings) -> int:
    """Tell how the schema differs from what this version expects."""
    _existing(settings)
    differences = check(open_engine(settings.database))
    for line in differences or ["The schema is what this version expects."]:
        click.echo(line)
    return 1 if differences else 0


def show_revision(settings: Settings) -> None:
    """Print the schema's revision."""
    _existing(settings)
    click.echo(current(open_engine(settings.database)) or "(no schema: `nightread db upgrade` makes it)")


def _as_json(entry: StudyEntry) -> dict[str, Any]:
    return asdict(entry)
