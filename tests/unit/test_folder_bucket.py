"""A folder as a bucket: what is listed, in which order, and every error that a folder can provoke."""

import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.bucket import open_bucket
from pipeline.errors import NotForUs, ObjectChanged, Unavailable, UsageError
from pipeline.folder_bucket import FolderBucket, key_of, path_of
from pipeline.study import ObjectRef


def fill(root: Path, *names: str) -> FolderBucket:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="surrogateescape"))
    return FolderBucket(root)


def only(bucket: FolderBucket) -> ObjectRef:
    (ref,) = bucket.list()
    return ref


def read(bucket: FolderBucket, ref: ObjectRef) -> bytes:
    with bucket.open(ref) as stream:
        return stream.read()


def test_every_file_is_listed_in_the_order_of_its_keys_bytes(tmp_path: Path) -> None:
    names = ["a/b", "a.b", "a-b/c", "a/é", "B", "a/.DS_Store", ".hidden/x.tmp", "a0"]
    bucket = fill(tmp_path, *names)
    assert [ref.key for ref in bucket.list()] == sorted(names, key=str.encode)


def test_an_object_is_known_by_path_time_and_size(tmp_path: Path) -> None:
    bucket = fill(tmp_path, "one")
    os.utime(tmp_path / "one", ns=(0, 1_700_000_000_123_456_789))
    ref = only(bucket)
    assert (ref.size, ref.etag) == (3, f"{1_700_000_000_123_456_789:x}-3")
    assert ref.last_modified.year == 2023
    assert ref.last_modified.tzinfo is not None
    assert bucket.name == str(tmp_path.resolve())
    assert read(bucket, ref) == b"one"


def test_a_time_beyond_the_calendar_does_not_stop_the_listing(tmp_path: Path) -> None:
    bucket = fill(tmp_path, "one")
    os.utime(tmp_path / "one", (0, 1 << 40))
    ref = only(bucket)
    assert ref.last_modified.year in (1970, 2446)  # some file systems cut such a time themselves
    assert read(bucket, ref) == b"one"


def test_names_that_are_no_utf8_survive_as_text_that_sql_can_store(tmp_path: Path) -> None:
    names = [b"caf\xe9.dcm", b"\xff\xfe", "x\uef80y".encode(), "é".encode()]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    bucket = FolderBucket(tmp_path)
    refs = list(bucket.list())
    assert len({ref.key for ref in refs}) == len(names)
    assert refs == sorted(refs, key=lambda ref: ref.key.encode())
    for ref in refs:
        assert os.fsencode(path_of(ref.key)) == read(bucket, ref)
        assert ref.key.encode().decode() == ref.key
        assert key_of(path_of(ref.key)) == ref.key


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    bucket = fill(tmp_path, "real/file")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real/back").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    refs = {ref.key: ref for ref in bucket.list()}
    assert set(refs) == {"real/file", "real/back/", "link/file", "link/back/", "self"}
    for key in ("real/back/", "self"):
        with pytest.raises(NotForUs):
            read(bucket, refs[key])


def test_what_is_no_file_is_listed_and_says_so(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    refs = {ref.key: ref for ref in bucket.list()}
    with pytest.raises(NotForUs, match="a pipe or a device"):
        read(bucket, refs["pipe"])
    with pytest.raises(NotForUs, match="a link to a file that does not exist"):
        read(bucket, refs["dangling"])


def test_a_replaced_file_is_noticed_when_opened(tmp_path: Path) -> None:
    bucket = fill(tmp_path, "one")
    ref = only(bucket)
    (tmp_path / "one").write_bytes(b"another")
    with pytest.raises(ObjectChanged, match="changed since it was listed"):
        read(bucket, ref)


def test_a_deleted_file_is_noticed(tmp_path: Path) -> None:
    bucket = fill(tmp_path, "one")
    ref = only(bucket)
    (tmp_path / "one").unlink()
    with pytest.raises(ObjectChanged, match="gone since it was listed"):
        read(bucket, ref)


def _read_on(stream: Any, *, into: bool) -> None:
    while stream.readinto(bytearray(10)) if into else stream.read(10):
        pass


@pytest.mark.parametrize("into", [False, True])
def test_a_file_that_grows_while_it_is_read_is_noticed(tmp_path: Path, *, into: bool) -> None:
    bucket = fill(tmp_path, "one")
    with bucket.open(only(bucket)) as stream:
        stream.read(1)
        with (tmp_path / "one").open("ab") as file:
            file.write(b"more")
        with pytest.raises(ObjectChanged):
            _read_on(stream, into=into)


def test_leaving_early_closes_the_file(tmp_path: Path) -> None:
    bucket = fill(tmp_path, "one")
    with bucket.open(only(bucket)) as stream:
        stream.read(1)
    assert stream.closed


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{root}/missing", "the source folder '{root}/missing' does not exist: check the path"),
        ("{root}/file", "the source '{root}/file' is a file: give the folder that holds it"),
        ("{root}/loop", "the source folder '{root}/loop' cannot be used"),
        ("ftp://host/x", "the source 'ftp://host/x' is neither a folder nor an s3://bucket/prefix"),
        ("s3://", "the source 's3://' names no bucket"),
    ],
)
def test_a_source_that_is_none_is_one_clear_line(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UsageError) as raised:
        open_bucket(source.format(root=tmp_path))
    assert str(raised.value).startswith(message.format(root=tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_listed_and_says_so(tmp_path: Path) -> None:
    bucket = fill(tmp_path, "closed/file", "secret")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "secret").chmod(0)
    refs = {ref.key: ref for ref in bucket.list()}
    try:
        for key in ("closed/", "secret"):
            with pytest.raises(Unavailable, match="make it readable"):
                read(bucket, refs[key])
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_folder_that_vanishes_is_unavailable(tmp_path: Path) -> None:
    bucket = fill(tmp_path / "gone", "one")
    (tmp_path / "gone/one").unlink()
    (tmp_path / "gone").rmdir()
    with pytest.raises(Unavailable, match="cannot be listed"):
        list(bucket.list())


TREE = ["a/b", "a.b", "a-b/c", "a/é", "B", "a/.DS_Store", "a/c/d", "a/c.e", "a0", "z"]


@pytest.mark.parametrize(
    "after", ["", "a", "a/", "a/b", "a/c", "a/c/", "a/c/d", "a.b", "b", "zz", "a/é", "a/\uf000"]
)
def test_a_listing_goes_on_after_any_key(tmp_path: Path, after: str) -> None:
    bucket = fill(tmp_path, *TREE)
    expected = [key for key in sorted(TREE, key=str.encode) if key.encode() > after.encode()]
    assert [ref.key for ref in bucket.list(after=after)] == expected


@pytest.mark.parametrize("within", ["", "a", "a/", "a/c", "a/c/", "a/c/d", "q/", "/"])
def test_a_listing_keeps_within_a_prefix(tmp_path: Path, within: str) -> None:
    bucket = fill(tmp_path, *TREE)
    expected = [key for key in sorted(TREE, key=str.encode) if key.startswith(within)]
    assert [ref.key for ref in bucket.list(within=within)] == expected
    assert [ref.key for ref in bucket.list(after="a/b", within=within)] == [
        key for key in expected if key.encode() > b"a/b"
    ]


def test_folders_that_cannot_hold_what_is_asked_for_are_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = fill(tmp_path, "a/1", "b/1", "b/c/1", "d/1")
    entered: list[str] = []
    scandir = os.scandir

    def noting(path: Any) -> Any:
        entered.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr("pipeline.folder_bucket.os.scandir", noting)
    assert [ref.key for ref in bucket.list(after="a/9", within="b/")] == ["b/1", "b/c/1"]
    assert entered == [tmp_path.name, "b", "c"]


def test_one_file_is_told_as_the_listing_tells_it(tmp_path: Path) -> None:
    bucket = fill(tmp_path / "in", "a/b", "ä")
    (tmp_path / "outside").write_bytes(b"")
    assert [bucket.stat(ref.key) for ref in bucket.list()] == list(bucket.list())
    for key in ("a", "a/", "a//b", "a/c", "../outside", "a/../a/b", "", "/a/b", "a\0b", "x" * 300):
        assert bucket.stat(key) is None


def test_nothing_is_told_of_a_folder_that_is_away(tmp_path: Path) -> None:
    bucket = fill(tmp_path / "in", "a")
    (tmp_path / "in").rename(tmp_path / "out")
    with pytest.raises(Unavailable, match="mount it again"):
        bucket.stat("a")
