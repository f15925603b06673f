"""The command line `nightread`. Each body calls a function that a test can call without click.

Results on stdout, logs and progress on stderr. Exit codes: 0 done, 1 failed or unhealthy, 2 usage,
130 interrupted.
A known error is one line without a traceback.
"""

import os
import sys
from pathlib import Path
from typing import Any, Literal

import click

from db.errors import DatabaseError
from pipeline.errors import NightreadError, UsageError
from worker.fleet_cli import COMMANDS
from worker.options import setting, settings_from
from worker.rules_cli import rules
from worker.settings import Settings, load_settings, unknown_variables, variable

FAILED, USAGE, INTERRUPTED = 1, 2, 130
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


class _Commands(click.Group):
    """Commands in the order they were written, and known errors as one line."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            click.echo("nightread: interrupted; nothing is lost: run it again to go on", err=True)
            sys.exit(INTERRUPTED)
        except (NightreadError, DatabaseError) as error:
            click.echo(f"nightread: {error}", err=True)
            sys.exit(USAGE if isinstance(error, UsageError) else FAILED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="nightread")
def main() -> None:
    """Turn DICOM studies into draft radiology reports in SQL, overnight. Every report is a draft."""
    from worker.logs import configure_logs

    configure_logs(load_settings().log_level)
    for line in unknown_variables(os.environ):
        click.echo(f"nightread: warning: {line}", err=True)


@main.command()
@click.argument("source", required=False)
@setting("database_url", "--database")
@setting("model")
@setting("device")
@setting("cache")
@setting("batch_size")
@setting("processes")
@setting("clear_text")
@click.option(
    "--page", type=click.Path(path_type=Path), help="Run page to write. [default: run.html in the home folder]"
)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many studies; the rest waits.")
@click.option(
    "--quiet",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    help="Leave studies whose last image is younger than so many seconds for the next run.",
)
@click.option(
    "--overlays", is_flag=True, help="Show in the run page where the model looked, for each finding; takes longer."
)
@_JSON
def run(
    *, page: Path | None, limit: int | None, quiet: float, overlays: bool, as_json: bool, **options: Any
) -> None:
    """Convert and caption every study in SOURCE (a folder or s3://bucket/prefix) that has no report yet."""
    from worker.night import run_night

    outcome = run_night(
        settings_from(options), page=page, limit=limit, quiet_seconds=quiet, as_json=as_json, overlays=overlays
    )
    sys.exit(outcome)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@setting("model")
@setting("device")
@click.option("--indication", "why", help="Why the study was asked for. [default: what the files say]")
@click.option(
    "--age", type=click.FloatRange(0, 120), help="The patient's, in years. [default: what the files say]"
)
@click.option("--sex", type=click.Choice(["M", "F", "O"]), help="The patient's. [default: what the files say]")
@click.option(
    "--overlay",
    type=click.Path(path_type=Path, file_okay=False),
    help="New or empty folder for a PNG per finding sentence and view: where the model looked.",
)
@_JSON
def caption(
    *,
    paths: tuple[Path, ...],
    why: str | None,
    age: float | None,
    sex: str | None,
    overlay: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Caption one study from its files (or a folder of them) and print the draft; nothing is stored."""
    from pipeline.background import clean
    from pipeline.study import Background
    from worker.single import caption_paths

    given = Background(indication=clean(why or ""), age=age, sex=sex or "")
    sys.exit(caption_paths(settings_from(options), paths, given, as_json=as_json, overlay=overlay))


@main.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the PNGs."
)
@setting("model")
def convert(*, path: Path, out: Path, **options: Any) -> None:
    """Convert a DICOM file, or every file under a folder, to the model's views as PNG."""
    from worker.single import convert_path

    sys.exit(convert_path(settings_from(options), path, out))


@main.command()
@setting("database_url", "--database")
@click.option("--failures", type=click.IntRange(min=0), default=10, show_default=True, help="Failures to list.")
@_JSON
def status(*, failures: int, as_json: bool, **options: Any) -> None:
    """Show the ledger's balance and what failed."""
    from worker.ledger_view import show_status

    show_status(settings_from(options), failures=failures, as_json=as_json)


@main.command()
@setting("database_url", "--database")
@click.option("--last", type=click.IntRange(min=1), default=5, show_default=True, help="How many, newest first.")
@_JSON
def reports(*, last: int, as_json: bool, **options: Any) -> None:
    """Print the newest drafts."""
    from worker.ledger_view import show_reports

    show_reports(settings_from(options), last=last, as_json=as_json)


@main.command()
@setting("database_url", "--database")
@click.option(
    "--what", type=click.Choice(["objects", "studies", "all", "skipped"]), default="all", show_default=True
)
def retry(*, what: Literal["objects", "studies", "all", "skipped"], **options: Any) -> None:
    """Put what failed back to work; the next run takes it. `skipped`: objects, for rules that have changed."""
    from worker.ledger_view import retry_failed

    retry_failed(settings_from(options), what=what)


@main.command("export-reports")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@setting("database_url", "--database")
@setting("model")
@setting("cache")
@_JSON
def export_reports(*, folder: Path, as_json: bool, **options: Any) -> None:
    """Write verified and corrected reports with their views to FOLDER, for `nightread-train` to learn from."""
    from worker.export_reports import export_reports as export

    export(settings_from(options), folder, as_json=as_json)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--studies", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def demo(*, folder: Path, studies: int, seed: int) -> None:
    """Write a demo archive of chest phantoms to FOLDER: nobody's images, safe to share."""
    from worker.demo import write_demo

    written = write_demo(folder, studies=studies, seed=seed)
    click.echo(
        f"{len(written.studies)} studies, {written.objects} objects, {written.bytes / 1e6:.0f} MB "
        f"in {written.archive}; an image that arrives late in {written.late}"
    )


@main.command()
@click.argument("source", required=False)
@setting("database_url", "--database")
@setting("model")
@setting("device")
@setting("cache")
@click.option("--decoders", is_flag=True, help="List each transfer syntax with its decoder and self-test instead.")
@_JSON
def doctor(*, decoders: bool, as_json: bool, **options: Any) -> None:
    """Check database, bucket, broker, model, device and decoders; one line each, with the remedy."""
    from worker.decoder_view import show_decoders
    from worker.doctor import examine

    if decoders:
        sys.exit(show_decoders(as_json=as_json))
    sys.exit(examine(settings_from(options), as_json=as_json))


@main.command("settings")
def list_settings() -> None:
    """List every setting with its variable, value and meaning."""
    from db.engine import shown_url

    current = load_settings()
    for field, info in Settings.model_fields.items():
        value = shown_url(current.database) if field == "database_url" else getattr(current, field)
        click.echo(f"{variable(field)}={value}\n    {info.description}")


for _command in (*COMMANDS, rules):
    main.add_command(_command)


@main.group()
def db() -> None:
    """Look after the database's schema."""


@db.command("upgrade")
@setting("database_url", "--database")
def db_upgrade(**options: Any) -> None:
    """Bring the schema to this version."""
    from worker.ledger_view import upgrade_schema

    upgrade_schema(settings_from(options))


@db.command("check")
@setting("database_url", "--database")
def db_check(**options: Any) -> None:
    """Compare the schema with what this version expects; exit 1 if they differ."""
    from worker.ledger_view import check_schema

    sys.exit(check_schema(settings_from(options)))


@db.command("current")
@setting("database_url", "--database")
def db_current(**options: Any) -> None:
    """Print the schema's revision."""
    from worker.ledger_view import show_revision

    show_revision(settings_from(options))
