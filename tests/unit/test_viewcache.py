"""The view cache gives back what was put or nothing, and never lies in the source."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import Unavailable, UsageError
from pipeline.study import Preprocessing
from pipeline.viewcache import FolderViewCache, open_view_cache, require_outside

SQUARE = Preprocessing(height=32, width=24, fit="squash")
VIEW = np.random.default_rng(1).integers(0, 256, (32, 24), np.uint8)
SHA = "ab" + "0" * 62


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    cache = FolderViewCache(tmp_path / "views")
    assert cache.get(SHA, SQUARE) is None
    cache.put(SHA, SQUARE, VIEW)
    cache.put(SHA, SQUARE, VIEW)
    found = FolderViewCache(tmp_path / "views").get(SHA, SQUARE)
    assert found is not None
    assert np.array_equal(found, VIEW)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{SHA}.png"]


def test_another_preprocessing_is_another_view(tmp_path: Path) -> None:
    cache = FolderViewCache(tmp_path)
    cache.put(SHA, SQUARE, VIEW)
    assert cache.get(SHA, Preprocessing(height=32, width=24, fit="letterbox")) is None


def test_a_damaged_view_is_none(tmp_path: Path) -> None:
    cache = FolderViewCache(tmp_path)
    cache.put(SHA, SQUARE, VIEW)
    (path,) = tmp_path.rglob("*.png")
    whole = path.read_bytes()
    for at in range(0, len(whole), 41):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            found = cache.get(SHA, SQUARE)
            assert found is None or np.array_equal(found, VIEW)
    path.write_bytes(whole[: len(whole) // 2])
    assert cache.get(SHA, SQUARE) is None


def test_a_view_of_another_size_is_none(tmp_path: Path) -> None:
    cache = FolderViewCache(tmp_path)
    cache.put(SHA, SQUARE, VIEW[:8])
    assert cache.get(SHA, SQUARE) is None


def test_a_disk_that_takes_no_more_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    cache = FolderViewCache(tmp_path)
    (tmp_path / "v2-32x24-squash-bilinear").write_bytes(b"a file where a folder must be")
    with pytest.raises(Unavailable, match="make room or choose another"):
        cache.put(SHA, SQUARE, VIEW)
    assert len(list(tmp_path.rglob("*"))) == 1


def test_a_place_that_cannot_be_a_cache_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be made"):
        FolderViewCache(tmp_path / "file")


def test_a_cache_inside_the_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "source")
    for inside in ("source", "source/views", "link/views"):
        with pytest.raises(UsageError, match="inside the source"):
            require_outside(tmp_path / inside, str(tmp_path / "source"), what="the view cache")
    require_outside(tmp_path / "views", str(tmp_path / "source"), what="the view cache")
    require_outside(tmp_path / "views", "s3://bucket/prefix", what="the view cache")
    require_outside("s3://bucket/views", str(tmp_path / "source"), what="the view cache")


@pytest.mark.parametrize(
    ("place", "source", "inside"),
    [
        ("s3://scans/views", "s3://scans", True),
        ("s3://scans", "s3://scans/", True),
        ("s3://scans/2024-views", "s3://scans/2024", True),
        ("s3://scans/in", "s3://scans/in/", True),
        ("s3://scans/views", "s3://scans/in/", False),
        ("s3://views", "s3://scans", False),
        ("s3://scans-views", "s3://scans", False),
    ],
)
def test_a_cache_in_the_source_bucket_is_refused_where_the_source_covers_it(
    place: str, source: str, inside: bool
) -> None:
    if inside:
        with pytest.raises(UsageError, match="inside the source"):
            require_outside(place, source, what="the view cache")
    else:
        require_outside(place, source, what="the view cache")


@pytest.mark.parametrize("place", ["ftp://x/y", "s3://", "s3:///views"])
def test_a_place_of_no_known_kind_is_one_clear_line(place: str) -> None:
    with pytest.raises(UsageError, match="neither a folder nor s3://bucket/prefix"):
        open_view_cache(place)
