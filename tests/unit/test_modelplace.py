"""Where models are kept: whole or not at all, by name and version, never with other weights."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import CheckpointError, Unavailable, UsageError
from pipeline.manifest import CARD, FILES, MANIFEST, WEIGHTS, load_manifest
from pipeline.modelplace import FolderModels, fetch, keep, open_models
from tests.checkpoints import figures, write_checkpoint


class Distant(FolderModels):
    """A folder that stands for a bucket: nothing is read in place, and what was put is noted."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.local = None
        self.put_names: list[str] = []

    def put(self, file: Path, name: str) -> None:
        self.put_names.append(name)
        super().put(file, name)


@pytest.fixture
def place(tmp_path: Path) -> Distant:
    return Distant(tmp_path / "place")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "made")


def test_what_is_kept_is_fetched_whole_and_the_manifest_comes_last(
    place: Distant, checkpoint: Path, tmp_path: Path
) -> None:
    manifest = keep(place, checkpoint)
    assert place.put_names == [f"paper/1/{name}" for name in (*FILES, MANIFEST)]
    found = fetch(place, "paper", "1", cache=tmp_path / "cache")
    assert found == tmp_path / "cache" / "paper" / "1"
    assert load_manifest(found) == manifest
    assert (found / WEIGHTS).read_text() == "weights"
    assert [path.name for path in found.parent.iterdir()] == ["1"]


def test_a_folder_is_read_in_place(checkpoint: Path, tmp_path: Path) -> None:
    place = open_models(str(tmp_path / "models"))
    assert fetch(place, "paper", "1", cache=tmp_path / "cache") is None
    keep(place, checkpoint)
    assert fetch(place, "paper", "1", cache=tmp_path / "cache") == tmp_path / "models" / "paper" / "1"
    assert not (tmp_path / "cache").exists()


def test_what_is_kept_already_is_not_put_again(place: Distant, checkpoint: Path) -> None:
    keep(place, checkpoint)
    place.put_names.clear()
    keep(place, checkpoint)
    assert place.put_names == []


def test_figures_and_card_may_be_measured_anew(place: Distant, checkpoint: Path) -> None:
    keep(place, checkpoint)
    place.put_names.clear()
    write_checkpoint(checkpoint, card="# With figures\n", metrics=figures())
    keep(place, checkpoint)
    assert place.put_names == [f"paper/1/{CARD}", f"paper/1/{MANIFEST}"]


def test_other_weights_under_a_kept_version_are_refused(place: Distant, checkpoint: Path, tmp_path: Path) -> None:
    keep(place, checkpoint)
    with pytest.raises(
        CheckpointError, match=r"paper 1 is published with another model.safetensors; .* new version"
    ):
        keep(place, write_checkpoint(tmp_path / "other", weights="changed"))


def test_a_checkpoint_that_is_not_what_its_manifest_says_is_not_kept(place: Distant, checkpoint: Path) -> None:
    (checkpoint / WEIGHTS).write_text("damaged")
    with pytest.raises(CheckpointError, match=r"model.safetensors has sha256 .*…, its manifest says"):
        keep(place, checkpoint)
    assert place.put_names == []


@pytest.mark.parametrize("name", ["../../etc", "a b", "", ".hidden"])
def test_a_name_that_is_no_name_of_a_folder_is_refused(place: Distant, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a folder"):
        keep(place, write_checkpoint(tmp_path / "odd", name=name))
    assert fetch(place, name, "1", cache=tmp_path / "cache") is None


def test_what_was_damaged_on_its_way_is_not_used_and_what_was_damaged_here_is_fetched_again(
    place: Distant, checkpoint: Path, tmp_path: Path
) -> None:
    keep(place, checkpoint)
    cache = tmp_path / "cache"
    found = fetch(place, "paper", "1", cache=cache)
    assert found is not None
    (found / WEIGHTS).write_text("rot")
    assert fetch(place, "paper", "1", cache=cache) == found
    assert (found / WEIGHTS).read_text() == "weights"
    shutil.rmtree(cache)
    (tmp_path / "place" / "paper" / "1" / WEIGHTS).write_text("rot")
    with pytest.raises(CheckpointError, match=r"has sha256"):
        fetch(place, "paper", "1", cache=cache)
    assert list((cache / "paper").iterdir()) == []


def test_a_version_without_manifest_is_not_there(place: Distant, checkpoint: Path, tmp_path: Path) -> None:
    keep(place, checkpoint)
    (tmp_path / "place" / "paper" / "1" / MANIFEST).unlink()
    assert fetch(place, "paper", "1", cache=tmp_path / "cache") is None


def test_a_place_that_takes_nothing_is_one_clear_line(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match=r"the models' place '.*file' cannot be read .* NIGHTREAD_MODELS"):
        keep(FolderModels(tmp_path / "file"), checkpoint)
    with pytest.raises(Unavailable, match=r"the models' place '.*file' takes no more .* NIGHTREAD_MODELS"):
        FolderModels(tmp_path / "file").put(checkpoint / CARD, "paper/1/card")


@pytest.mark.parametrize("place", ["ftp://x/y", "s3://", "s3:///models"])
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match="neither a folder nor s3://bucket/prefix"):
        open_models(place)
