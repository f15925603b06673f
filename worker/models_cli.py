"""The commands of the registry: `nightread models …`. `fleet_cli` hands them to `cli`.

As there: each body calls a function that a test can call without click, and heavy imports stay inside.
"""

from typing import Any

import click

from worker.options import Command, setting, settings_from

_TITLE = click.argument("model", metavar="NAME@VERSION")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def _registry(command: Command) -> Command:
    """The options of every command of the registry."""
    for decorate in (setting("models", "--place"), setting("database_url", "--database")):
        command = decorate(command)
    return command


@click.group()
def models() -> None:
    """Look after model versions: the champion, its challengers, and the way back."""


@models.command("list")
@_registry
@_JSON
def models_list(*, as_json: bool, **options: Any) -> None:
    """List every version, the newest first."""
    from worker.model_desk import list_models

    list_models(settings_from(options), as_json=as_json)


@models.command("show")
@_TITLE
@_registry
@_JSON
def models_show(*, model: str, as_json: bool, **options: Any) -> None:
    """Show a version (or champion, shadow, previous): hashes, figures, verdicts, history, the run that made it."""
    from worker.model_desk import show_model

    show_model(settings_from(options), model, as_json=as_json)


@models.command("publish")
@click.argument("checkpoint")
@_registry
def models_publish(*, checkpoint: str, **options: Any) -> None:
    """Keep and register CHECKPOINT, a folder or the name of one that comes with the program."""
    from worker.model_desk import publish

    publish(settings_from(options), checkpoint)


@models.command("promote")
@_TITLE
@_registry
@setting("promotion", "--criteria")
@click.option(
    "--override", default="", metavar="WHY", help="Promote it though it does not meet them; WHY is kept."
)
@click.option("--dry-run", is_flag=True, help="Judge only.")
@_JSON
def models_promote(*, model: str, override: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Make a version champion if it meets the written criteria; running workers take it within a minute."""
    from worker.model_desk import promote

    promote(settings_from(options), model, override=override, dry_run=dry_run, as_json=as_json)


@models.command("rollback")
@_registry
@click.option("--reason", default="rolled back", show_default=True, help="Why, for the history.")
@_JSON
def models_rollback(*, reason: str, as_json: bool, **options: Any) -> None:
    """Make the champion before this one champion again."""
    from worker.model_desk import rollback

    rollback(settings_from(options), reason=reason, as_json=as_json)


@models.command("shadow")
@click.argument("model", metavar="NAME@VERSION|none")
@_registry
@click.option("--reason", default="on trial", show_default=True, help="Why, for the history.")
def models_shadow(*, model: str, reason: str, **options: Any) -> None:
    """Let a version caption beside the champion: both are stored, only the champion's is current."""
    from worker.model_desk import set_shadow

    set_shadow(settings_from(options), model, reason=reason)
