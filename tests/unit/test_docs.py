"""What the documents name exists, and what exists is in the documents."""

import re
from pathlib import Path

import click
import pytest

from worker.cli import main
from worker.settings import Settings, variable

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
VARIABLES = {variable(field) for field in Settings.model_fields}


def _commands(group: click.Group, prefix: str = "") -> list[str]:
    names: list[str] = []
    for name, command in group.commands.items():
        names += _commands(command, f"{name} ") if isinstance(command, click.Group) else [prefix + name]
    return names


@pytest.mark.parametrize("command", _commands(main))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert re.search(rf"`(nightread )?{command}\b", README), f"README does not tell of `nightread {command}`"


@pytest.mark.parametrize("file", ["README.md", "deploy/nightread.env.example", "deploy/demo.sh"])
def test_every_variable_that_a_document_names_is_a_setting(file: str) -> None:
    named = set(re.findall(r"NIGHTREAD_[A-Z_]+", (ROOT / file).read_text(encoding="utf-8")))
    assert named <= VARIABLES


def test_every_setting_is_in_the_readme_or_listed_by_the_command_it_names() -> None:
    assert set(re.findall(r"NIGHTREAD_[A-Z_]+", README)) >= VARIABLES


@pytest.mark.parametrize(
    "command", [main, *main.commands.values()], ids=lambda command: command.name or "nightread"
)
def test_every_command_explains_itself(command: click.Command) -> None:
    text = command.get_help(click.Context(command))
    assert command.help
    assert "Usage" in text


def test_options_that_are_settings_show_their_variable() -> None:
    text = main.commands["run"].get_help(click.Context(main.commands["run"], terminal_width=200))
    assert "[env: NIGHTREAD_DATABASE_URL]" in text


def test_no_document_names_a_registry_or_a_local_path() -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert re.fullmatch(r"([A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+\n)+", pinned)
