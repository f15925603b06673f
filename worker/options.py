"""Command-line options that are settings: each is told by its field in `worker.settings`, environment included."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from worker.settings import Settings, load_settings, variable

Command = TypeVar("Command", bound=Callable[..., Any])


def setting(field: str, flag: str = "") -> Callable[[Command], Command]:
    """An option that overrides one setting; not given, the environment and the default decide."""
    info = Settings.model_fields[field]
    default = info.default
    shown = (
        f" [default: {default}]"
        if default not in ("", None) and "default:" not in (info.description or "")
        else ""
    )
    kind: Any = str
    if get_origin(info.annotation) is Literal:
        kind = click.Choice(get_args(info.annotation))
    elif info.annotation is bool:
        kind = None
    return click.option(
        f"{flag or '--' + field.replace('_', '-')}{'/--pseudonyms' if field == 'clear_text' else ''}",
        field,
        type=kind,
        default=None,
        help=f"{info.description}. [env: {variable(field)}]{shown}",
    )


def settings_from(options: dict[str, Any]) -> Settings:
    """The settings that a command's options and the environment make together."""
    return load_settings({name: value for name, value in options.items() if name in Settings.model_fields})
