"""Whatever is broken around a run: one clear line, a plain exit code, and nothing lost."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.manifest import load_manifest
from tests.archives import write_studies
from tests.night import ROOT, Night


@pytest.fixture
def night(tmp_path: Path) -> Night:
    write_studies(tmp_path / "archive", 3)
    return Night(home=tmp_path / "home", source=tmp_path / "archive")


def _fails(night: Night, *arguments: str, code: int = 1) -> str:
    """The one line that a failing `nightread run` prints, its start-up logs aside."""
    done = night.call("run", *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("nightread: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def _finishes(night: Night) -> None:
    assert night.run()["balance"]["studies"]["reported"] == 3


def test_no_such_folder(night: Night, tmp_path: Path) -> None:
    line = _fails(night, str(tmp_path / "nowhere"), code=2)
    assert str(tmp_path / "nowhere") in line
    _finishes(night)


def test_no_source(night: Night) -> None:
    line = _fails(Night(home=night.home, source=""), code=2)
    assert "NIGHTREAD_SOURCE" in line


def test_an_unreachable_bucket(night: Night) -> None:
    keys = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    line = _fails(Night(home=night.home, source="s3://studies/", env=keys))
    assert "http://127.0.0.1:9" in line
    _finishes(night)


def test_no_credentials(night: Night) -> None:
    nothing = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": "/nonexistent",
    }
    line = _fails(Night(home=night.home, source="s3://studies/", env=nothing), code=2)
    assert "credentials" in line


def test_a_database_server_that_is_not_there(night: Night) -> None:
    line = _fails(night, "--database", "postgresql://nobody:secret@127.0.0.1:9/none")
    assert "127.0.0.1" in line
    assert "secret" not in line


def test_a_database_in_a_missing_folder(night: Night, tmp_path: Path) -> None:
    assert "missing" in _fails(night, "--database", f"sqlite:///{tmp_path}/missing/night.db")


def test_a_file_that_is_no_database(night: Night, tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("these are notes, not a database\n" * 40, encoding="ascii")
    assert "notes.db" in _fails(night, "--database", f"sqlite:///{tmp_path}/notes.db")


def test_a_locked_database(night: Night) -> None:
    night.run("--limit", "1")
    night = Night(home=night.home, source=night.source, env={"NIGHTREAD_TEST_BUSY_SECONDS": "1"})
    with closing(sqlite3.connect(night.home / "nightread.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        line = _fails(night)
    assert "locked" in line
    _finishes(night)


def test_another_run_on_the_same_database(night: Night) -> None:
    with night.start("run") as process:
        while not (night.home / "nightread.db.lock").exists():
            assert process.poll() is None
        line = _fails(night)
        process.communicate()
    assert str(process.pid) in line


@pytest.fixture
def copied_model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "pipeline" / "checkpoints" / "champion", tmp_path / "model"))


def test_a_checkpoint_whose_checksum_is_off(night: Night, copied_model: Path) -> None:
    weights = copied_model / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    line = _fails(night, "--model", str(copied_model))
    assert "model.safetensors" in line
    assert "sha256" in line
    _finishes(night)


def test_no_checkpoint(night: Night, tmp_path: Path) -> None:
    assert str(tmp_path / "none") in _fails(night, "--model", str(tmp_path / "none"), code=2)


def test_cuda_where_there_is_none(night: Night) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert "--device cpu" in _fails(night, "--device", "cuda", code=2)


def test_a_cache_inside_the_source(night: Night) -> None:
    line = _fails(night, "--cache", str(Path(night.source) / "views"), code=2)
    assert "lies inside the source" in line


def test_pseudonyms_of_another_key(night: Night) -> None:
    _finishes(night)
    other = Night(home=night.home, source=night.source, env={"NIGHTREAD_PSEUDONYM_KEY": "another"})
    assert "pseudonym" in _fails(other, code=2)


def test_a_study_without_the_view_that_the_model_needs(night: Night, copied_model: Path) -> None:
    manifest = copied_model / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"frontal": "optional"', '"frontal": "required"'), encoding="utf-8")
    for study in Path(night.source).iterdir():
        (study / "PA.dcm").unlink()
    result = night.run("--model", str(copied_model))
    assert result["balance"]["studies"]["skipped"] == 3
    (reason,) = result["balance"]["study_reasons"]
    name = load_manifest(copied_model).title
    assert reason["reason"] == f"{name} needs a frontal view; the study has 1 lateral"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB: two views fill it."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(night: Night, small_disk: Path) -> None:
    write_studies(Path(night.source), 30, first=10)
    line = _fails(night, "--cache", str(small_disk))
    assert "no space left" in line.lower()
    assert night.leases() == 0
    assert night.run()["balance"]["studies"]["reported"] == 33


def test_a_database_on_a_full_disk(night: Night, small_disk: Path) -> None:
    line = _fails(night, "--database", f"sqlite:///{small_disk}/night.db")
    assert "full" in line
