"""The command of the site's rules: `nightread rules test`. `cli` adds it.

As there: the body calls a function that a test can call without click, and heavy imports stay inside.
"""

from pathlib import Path
from typing import Any

import click

from worker.options import setting, settings_from


@click.group()
def rules() -> None:
    """Look at what the site's rules do."""


@rules.command("test")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@setting("rules")
@setting("model")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def rules_test(*, path: Path, as_json: bool, **options: Any) -> None:
    """Show for each object under PATH what a run would make of it and why; nothing is written."""
    from worker.foresight import show_foresight

    show_foresight(settings_from(options), path, as_json=as_json)
