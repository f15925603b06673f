"""Scans lose and double nothing, whoever is killed, and never walk one bucket twice at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import pytest

from db.scans import ScanLost, Scans
from pipeline.errors import Unavailable
from pipeline.study import ObjectRef
from tests.conformance.ledger_world import World, listed
from worker.scan import PAGE, ScanProgress, scan_slice


@dataclass
class ManyKeys:
    """A bucket of numbered keys that are made up as they are asked for."""

    count: int
    breaks_after: int | None = None  # keys of one listing
    age: timedelta = timedelta(days=1)
    name: str = "many"
    prefix: str = ""
    given: int = field(default=0, init=False)

    def list(self, *, after: str = "", within: str = "") -> Iterator[ObjectRef]:
        first = int(after) + 1 if after else 0
        for number in range(first, self.count):
            if self.breaks_after is not None and number - first >= self.breaks_after:
                raise Unavailable("the network broke")
            self.given += 1
            yield ObjectRef(key=f"{number:09d}", etag="e", size=1, last_modified=datetime.now(UTC) - self.age)

    def stat(self, key: str) -> ObjectRef | None:
        raise NotImplementedError

    def open(self, ref: ObjectRef) -> AbstractContextManager[BinaryIO]:
        raise NotImplementedError


def walk(world: World, bucket: ManyKeys, *, owner: str = "a", seconds: float | None = None) -> ScanProgress | None:
    return scan_slice(Scans(world.engine), bucket, owner=owner, seconds=seconds)


class ScanTests:
    """Listings, and what they record."""

    def test_a_scan_records_every_object_once(self, world: World) -> None:
        bucket = ManyKeys(2 * PAGE + 3)
        assert walk(world, bucket) == ScanProgress(seen=2003, new=2003, missed=0, expected=None, finished=True)
        assert world.one("SELECT count(*) FROM object") == 2003
        assert walk(world, bucket) == ScanProgress(seen=2003, new=0, missed=0, expected=2003, finished=True)
        assert world.rows("SELECT seen, new, lease_owner FROM scan ORDER BY id") == [
            (2003, 2003, None),
            (2003, 0, None),
        ]

    def test_an_empty_bucket_is_scanned(self, world: World) -> None:
        assert walk(world, ManyKeys(0)) == ScanProgress(seen=0, new=0, missed=0, expected=None, finished=True)

    def test_a_scan_goes_on_where_it_was_broken_off(self, world: World) -> None:
        bucket = ManyKeys(5 * PAGE, breaks_after=2 * PAGE + 7)
        for _ in range(2):
            with pytest.raises(Unavailable):
                walk(world, bucket)
        assert walk(world, bucket) == ScanProgress(seen=5000, new=5000, missed=0, expected=None, finished=True)
        assert world.one("SELECT count(*) FROM object") == 5000
        assert bucket.given == 2 * (2 * PAGE + 7) + PAGE  # no more than a page was listed twice

    def test_slices_make_one_scan(self, world: World) -> None:
        bucket = ManyKeys(3 * PAGE + 1)
        slices: list[ScanProgress] = []
        while not slices or not slices[-1].finished:
            progress = walk(world, bucket, seconds=0)
            assert progress
            slices.append(progress)
        assert [progress.seen for progress in slices] == [1000, 2000, 3000, 3001, 3001]
        assert bucket.given <= 2 * bucket.count

    def test_what_events_should_have_told_is_counted(self, world: World) -> None:
        walk(world, ManyKeys(10))
        late = walk(world, ManyKeys(30, age=timedelta(seconds=5)))
        assert late == ScanProgress(seen=30, new=20, missed=0, expected=10, finished=True)
        missed = walk(world, ManyKeys(35))
        assert missed == ScanProgress(seen=35, new=5, missed=5, expected=30, finished=True)

    def test_two_never_walk_one_bucket_at_once(self, world: World) -> None:
        scans = Scans(world.engine)
        first = scans.claim("many", "", owner="a", lease_seconds=60)
        assert first
        assert walk(world, ManyKeys(3), owner="b") is None
        assert scans.claim("many", "other/", owner="b", lease_seconds=60)
        scans.let_go(first, owner="b")  # not its own
        assert walk(world, ManyKeys(3), owner="b") is None
        scans.let_go(first, owner="a")
        assert walk(world, ManyKeys(3), owner="b")
        assert world.one("SELECT count(*) FROM scan WHERE prefix = ''") == 1

    def test_of_many_that_begin_at_once_one_does(self, world: World) -> None:
        def claim(number: int) -> bool:
            return Scans(world.engine).claim("many", "", owner=str(number), lease_seconds=60) is not None

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(claim, range(8))) == 1
        assert world.one("SELECT count(*) FROM scan") == 1

    def test_a_lost_scan_writes_nothing(self, world: World) -> None:
        scans = Scans(world.engine)
        work = scans.claim("many", "", owner="slow", lease_seconds=0)
        assert work
        assert walk(world, ManyKeys(1), owner="quick")
        with pytest.raises(ScanLost):
            scans.record_page(work, [listed("x")], owner="slow", lease_seconds=60)
        with pytest.raises(ScanLost):
            scans.finish(work, owner="slow")
        assert world.one("SELECT count(*) FROM object") == 1

    def test_a_scan_is_due_when_the_last_ended_long_enough_ago(self, world: World) -> None:
        scans = Scans(world.engine)
        assert scans.is_due("many", "", every_seconds=300)
        with pytest.raises(Unavailable):
            walk(world, ManyKeys(3, breaks_after=1))
        assert scans.is_due("many", "", every_seconds=300)
        work = scans.claim("many", "", owner="a", lease_seconds=60)
        assert work
        assert not scans.is_due("many", "", every_seconds=0)
        scans.finish(work, owner="a")
        assert not scans.is_due("many", "", every_seconds=300)
        assert scans.is_due("many", "", every_seconds=0)
        assert scans.is_due("many", "other/", every_seconds=300)

    def test_an_object_that_comes_back_is_new_and_one_listed_twice_is_one(self, world: World) -> None:
        twice = [listed("k"), listed("k"), listed("k", etag="e2")]
        assert world.ledger.record_objects("b", twice) == 2
        assert world.ledger.record_objects("b", twice) == 0
        assert world.ledger.mark_removed("b", ["k"]) == 2
        assert world.ledger.record_objects("b", twice) == 2

    def test_a_removed_object_has_no_work_left_unless_a_worker_holds_it(self, world: World) -> None:
        world.ledger.record_objects("b", [listed("a"), listed("b"), listed("c")])
        (held,) = world.claim(limit=1)
        assert world.ledger.mark_removed("b", [held.key, "b", "nobody"]) == (1 if held.key != "b" else 0)
        assert world.ledger.mark_removed("other", ["c"]) == 0
        assert world.rows("SELECT key, state, lease_owner FROM object ORDER BY key") == [
            ("a", "pending", "host:1"),
            ("b", "gone", None),
            ("c", "pending", None),
        ]
