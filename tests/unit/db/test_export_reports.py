"""Verified reports become a folder that training reads as it reads any other."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.errors import UsageError
from pipeline.manifest import FILES, write_manifest
from pipeline.splits import SITE_SHARES, split_of
from pipeline.study import Preprocessing
from pipeline.viewcache import FolderViewCache
from tests.conformance.ledger_world import World, digest
from tests.conformance.verified_reports import mark
from tests.unit.captioning.conftest import tiny_manifest
from training.datasets import ImageArchive, read_examples
from training.examples import TEXT
from worker.cli import main
from worker.export_reports import export_reports, write_export
from worker.settings import load_settings

SIZE = Preprocessing(height=48, width=48, fit="squash")


@pytest.fixture
def views(world: World, tmp_path: Path) -> FolderViewCache:
    """Three reported studies; the views of the last are not in the cache."""
    world.convert(s1=["s1/a"], s2=["s2/a"], s3=["s3/a"])
    world.release()
    world.report_all()
    cache = FolderViewCache(tmp_path / "views")
    for level, uid in ((60, "s1"), (90, "s2")):
        cache.put(digest(f"{uid}.{uid}/a"), SIZE, np.full((48, 48), level, np.uint8))
    return cache


def test_the_folder_is_read_by_training(world: World, views: FolderViewCache, tmp_path: Path) -> None:
    mark(world, "s1", "verified")
    mark(world, "s2", "corrected", "The heart is enlarged.")
    mark(world, "s3", "verified")
    done = write_export(world.engine, views, SIZE, tmp_path / "out")
    assert (sum(done.studies.values()), done.images, done.without_views) == (2, 2, 1)
    first, second = read_examples(tmp_path / "out")
    assert first.findings == "The lungs are clear."
    assert (second.findings, second.impression) == ("The heart is enlarged.", "Better.")
    assert (sorted(second.problems), second.coded_by) == (["Cardiomegaly"], TEXT)
    assert first.patient == second.patient
    assert first.split == second.split == split_of("p-1", SITE_SHARES)
    assert second.frontal is not None
    assert ImageArchive(tmp_path / "out", SIZE).pixels(second.frontal)[0, 0] == 90


def test_no_identifier_leaves_the_ledger(world: World, views: FolderViewCache, tmp_path: Path) -> None:
    mark(world, "s1", "verified")
    write_export(world.engine, views, SIZE, tmp_path / "out")
    text = (tmp_path / "out" / "studies.json").read_text()
    for name in ("p-1", "n-1", "a-1", "s1/a", '"s1"', digest("s1.s1/a")):
        assert name not in text
    assert set(json.loads(text)[0]) == {
        "study", "report", "patient", "split", "images", "findings", "impression", "indication", "age", "sex",
        "problems", "mesh", "coded_by",
    }  # fmt: skip


def test_nothing_to_export_leaves_an_earlier_export_alone(
    world: World, views: FolderViewCache, tmp_path: Path
) -> None:
    (tmp_path / "studies.json").write_text("[]")
    mark(world, "s3", "verified")
    with pytest.raises(UsageError, match=r"nothing to export: .*\(1 without views, 0 without text\)"):
        write_export(world.engine, views, SIZE, tmp_path)
    assert (tmp_path / "studies.json").exists()
    assert not list(tmp_path.glob("*.partial"))


def test_the_command_tells_what_it_wrote(world: World, views: FolderViewCache, tmp_path: Path) -> None:
    url = world.engine.url.render_as_string(hide_password=False)
    settings = load_settings(
        {"database_url": url, "cache": str(tmp_path / "views"), "source": str(tmp_path / "in")}
    )
    write_manifest(tmp_path, replace(tiny_manifest(), preprocessing=SIZE, sha256=dict.fromkeys(FILES, "0" * 64)))
    mark(world, "s1", "verified")
    mark(world, "s3", "verified")
    options = ["--database", url, "--cache", str(tmp_path / "views"), "--model", str(tmp_path)]
    result = CliRunner().invoke(main, ["export-reports", str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("1 studies (1 ")
    assert "1 left out: their views are not in the cache" in result.output
    assert "keep the folder as you keep the archive" in result.output
    with pytest.raises(UsageError, match="lies inside the source"):
        export_reports(settings, tmp_path / "in" / "out", as_json=False)
