"""The check that developers and CI run: `alembic check` from any folder finds nothing after an upgrade."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def alembic(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Alembic's own command line, run in another folder."""
    command = [sys.executable, "-m", "alembic", "-c", str(ROOT / "migrations" / "alembic.ini"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=60)


def test_a_database_must_be_named(tmp_path: Path) -> None:
    told = alembic("check", folder=tmp_path)
    assert told.returncode == 1
    assert "name the database" in told.stderr


def test_check_finds_nothing(template: Path, tmp_path: Path) -> None:
    told = alembic("-x", f"url=sqlite:///{template}", "check", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "No new upgrade operations detected" in told.stdout


@pytest.mark.parametrize("name", ["0001_work.py", "0002_reports.py", "0003_views.py"])
def test_a_migration_imports_nothing_that_changes(name: str) -> None:
    source = (ROOT / "migrations" / "versions" / name).read_text()
    imported = {line for line in source.splitlines() if line.startswith(("import ", "from "))}
    allowed = {
        "from collections.abc import Sequence",
        "from typing import Any",
        "import sqlalchemy as sa",
        "from alembic import op",
    }
    assert imported <= allowed
