"""What the documents name exists, and what exists is in the documents."""

import re
from pathlib import Path

import click
import pytest

from worker.cli import main
from worker.metric_names import METRICS
from worker.settings import Settings, variable

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PRIVATE = {"nightread.env", ".env"}  # a person's own, ignored by git
DEPLOYED = sorted(
    str(file.relative_to(ROOT))
    for file in (ROOT / "deploy").rglob("*")
    if file.is_file() and file.name not in PRIVATE
)
VARIABLES = {variable(field) for field in Settings.model_fields}
VARIABLES |= {"NIGHTREAD_DATA"}  # what nightread-train reads, which knows no settings


def _commands(group: click.Group, prefix: str = "") -> list[str]:
    names: list[str] = []
    for name, command in group.commands.items():
        names += _commands(command, f"{name} ") if isinstance(command, click.Group) else [prefix + name]
    return names


@pytest.mark.parametrize("command", _commands(main))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert re.search(rf"`(nightread )?{command}\b", README), f"README does not tell of `nightread {command}`"


@pytest.mark.parametrize("file", ["README.md", *DEPLOYED])
def test_every_variable_that_a_document_names_is_a_setting(file: str) -> None:
    named = set(re.findall(r"NIGHTREAD_[A-Z_]+", (ROOT / file).read_text(encoding="utf-8")))
    assert named <= VARIABLES


@pytest.mark.parametrize("file", ["deploy/grafana/nightread.json", "deploy/prometheus/alerts.yaml"])
def test_every_metric_that_is_watched_is_measured(file: str) -> None:
    suffix = {"counter": "_total", "gauge": "", "histogram": "_bucket"}
    named = set(re.findall(r"\bnightread_[a-z_]+", (ROOT / file).read_text(encoding="utf-8")))
    assert named <= {metric.name + suffix[metric.kind] for metric in METRICS}
    assert named


def test_no_deployed_file_holds_a_secret() -> None:
    for file in DEPLOYED:
        text = (ROOT / file).read_text(encoding="utf-8")
        for secret in re.findall(r"(?m)^\s*#?\w*(?:PASSWORD|SECRET\w*|_KEY|_PASS)\b\s*[=:]\s*(\S.*)$", text):
            assert secret == "change-me" or secret.startswith("${"), f"{file}: {secret}"


def test_links_of_the_deployment_page_lead_somewhere() -> None:
    page = ROOT / "deploy/README.md"
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


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
