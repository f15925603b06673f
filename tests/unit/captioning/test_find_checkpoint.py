"""A model is named by a shipped name or by its folder; the command says so where it is not."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.errors import UsageError
from pipeline.manifest import find_checkpoint
from training.cli import main


def test_a_folder_is_itself(saved: Path) -> None:
    assert find_checkpoint(saved) == saved
    assert find_checkpoint(str(saved)) == saved


def test_a_shipped_model_is_found_by_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.manifest.CHECKPOINTS", saved.parent)
    assert find_checkpoint(saved.name) == saved
    with pytest.raises(UsageError, match=f"no model 'nope'.*{saved.name}"):
        find_checkpoint("nope")


def test_an_evaluation_without_a_place_for_its_page_ends_before_it_begins(saved: Path, tmp_path: Path) -> None:
    page = tmp_path / "missing" / "page.html"
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path), "--model", str(saved), "--page", str(page)])
    assert result.exit_code == 2
    assert f"cannot write {page}" in result.output
