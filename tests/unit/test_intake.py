"""Events become ledger rows, and a message is settled only when all it tells of is written down."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from db.errors import DatabaseMisconfigured
from tests.events import MemoryBucket, MemoryLedger, Tally, message, until
from worker.event_cases import HEADS, MOST_WAITING, REFUSALS
from worker.event_queue import Delivery, Settled
from worker.intake import Intake


class Desk:
    """An intake at work."""

    def __init__(self, intake: Intake, tally: Tally) -> None:
        self.intake = intake
        self.tally = tally
        self.done: list[Settled] = []

    def give(self, *bodies: bytes, epoch: int = 1) -> list[Delivery]:
        deliveries = [Delivery(body=body, message=None, epoch=epoch) for body in bodies]
        for delivery in deliveries:
            self.intake.take(delivery)
        return deliveries

    def settled(self, count: int) -> list[Settled]:
        """Wait for so many in all."""
        until(lambda: len(self._look()) >= count)
        assert len(self.done) == count
        return self.done

    def _look(self) -> list[Settled]:
        self.done += self.intake.settled()
        return self.done


@contextmanager
def desk(bucket: MemoryBucket, ledger: MemoryLedger, **changes: Any) -> Iterator[Desk]:
    tally = Tally()
    options: dict[str, Any] = {"marker": "_COMPLETE", "counters": tally, "again_seconds": (0.05, 0.1), **changes}
    intake = Intake(ledger, bucket, **options)
    try:
        yield Desk(intake, tally)
    finally:
        intake.finish()
        until(lambda: not intake.is_busy)


def test_created_objects_are_recorded_and_hinted_at_once_a_batch() -> None:
    hints: list[int] = []
    bucket, ledger = MemoryBucket({"a b/1", "a b/2"}), MemoryLedger()
    with desk(bucket, ledger, hint=lambda: hints.append(len(ledger.known))) as at:
        at.give(message("a b/1", "a b/2"), message("a b/1"), message("a b/2", source="ceph:s3"))
        assert [item.trouble for item in at.settled(3)] == ["", "", ""]
    assert ledger.transactions == [["a b/1", "a b/2"]]
    assert bucket.asked == {"a b/1": 1, "a b/2": 1}
    assert hints == [2]  # after the transaction, and not for the doubles
    assert dict(at.tally) == {"recorded": 2}


def test_a_key_that_was_encoded_otherwise_is_found() -> None:
    bucket, ledger = MemoryBucket({"a+b", "c d"}), MemoryLedger()
    with desk(bucket, ledger) as at:
        at.give(message("a b").replace(b"a b", b"a+b"), message("c+d", source="ceph:s3"))
        at.settled(2)
    assert ledger.known == ["a+b", "c d"]


def test_a_removed_object_has_no_work_left_unless_it_is_there_again() -> None:
    bucket, ledger = MemoryBucket({"back"}), MemoryLedger()
    with desk(bucket, ledger) as at:
        at.give(message("gone", "back", event="ObjectRemoved:Delete"))
        at.settled(1)
    assert (ledger.known, ledger.removed) == (["back"], ["gone"])


def test_an_object_that_comes_late_is_waited_for_and_bars_nobody() -> None:
    bucket, ledger = MemoryBucket({"there"}), MemoryLedger()
    with desk(bucket, ledger, again_seconds=(0.3, 30)) as at:
        late, *_ = at.give(message("late"), message("there"))
        assert late not in [item.delivery for item in at.settled(1)]
        bucket.keys.add("late")
        assert at.settled(2)[1].delivery is late
    assert ledger.known == ["late", "there"]


def test_an_object_that_never_comes_is_left_to_the_listing() -> None:
    bucket, ledger = MemoryBucket(), MemoryLedger()
    with desk(bucket, ledger) as at:
        at.give(message("never"))
        assert at.settled(1)[0].trouble == ""
    assert bucket.asked["never"] == 3
    assert at.tally["deferred"] == 1


def test_too_many_that_never_come_are_not_waited_for() -> None:
    with desk(MemoryBucket(), MemoryLedger(), again_seconds=(60,)) as at:
        at.give(*(message(f"never/{number}") for number in range(MOST_WAITING + 20)))
        at.settled(20)


def test_a_marker_brings_its_folder_with_it_and_comes_last() -> None:
    bucket = MemoryBucket({"s/1", "s/2", "s/_COMPLETE", "t/1", "_COMPLETE"})
    ledger = MemoryLedger()
    with desk(bucket, ledger) as at:
        at.give(message("s/_COMPLETE"))
        at.settled(1)
        assert ledger.transactions == [["s/1", "s/2"], ["s/_COMPLETE"]]
        at.give(message("_COMPLETE"))  # of the whole bucket: the listing's work
        at.settled(2)
    assert "t/1" not in ledger.known


def test_what_is_outside_of_the_prefix_is_none_of_ours() -> None:
    bucket, ledger = MemoryBucket({"in/1", "out/1"}, prefix="in/"), MemoryLedger()
    with desk(bucket, ledger) as at:
        at.give(message("out/1", "in/1"), message("out/1"))
        assert [item.trouble for item in at.settled(2)] == ["", ""]
    assert ledger.known == ["in/1"]
    assert at.tally["ignored"] == 2
    assert bucket.asked["out/1"] == 0


def test_a_message_with_trouble_is_told_so_after_what_is_sound_in_it_is_written() -> None:
    bucket, ledger = MemoryBucket({"a"}), MemoryLedger()
    with desk(bucket, ledger) as at:
        mixed = message("a").replace(b'"Records": [', b'"Records": [5, ')
        at.give(b"no json", message("a", bucket="other"), mixed, b"")
        told = sorted(item.trouble for item in at.settled(4))
    assert told == ["a record without eventSource", "no JSON", "no JSON", "of the bucket 'other', not of 'scans'"]
    assert ledger.known == ["a"]
    assert at.tally["dead"] == 4


def test_nothing_is_settled_while_the_ledger_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.intake.FIRST_PAUSE", 0.05)
    bucket, ledger = MemoryBucket({"a"}), MemoryLedger()
    ledger.away.set()
    with desk(bucket, ledger) as at:
        at.give(message("a"))
        until(lambda: bucket.asked["a"])
        threading.Event().wait(0.3)
        assert at.intake.settled() == []
        ledger.away.clear()
        at.settled(1)
    assert ledger.known == ["a"]


def test_a_stop_does_not_wait_for_a_ledger_that_is_away() -> None:
    bucket, ledger = MemoryBucket({"a"}), MemoryLedger()
    ledger.away.set()
    with desk(bucket, ledger) as at:
        at.give(message("a"))
        until(lambda: bucket.asked["a"])
    assert at.intake.settled() == []


def test_a_ledger_that_only_a_person_can_mend_ends_intake(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise DatabaseMisconfigured("the password is wrong")

    ledger = MemoryLedger()
    monkeypatch.setattr(ledger, "record_objects", refuse)
    with desk(MemoryBucket({"a"}), ledger) as at:
        at.give(message("a"))
        until(lambda: not at.intake.is_busy)
        with pytest.raises(DatabaseMisconfigured):
            at.intake.settled()


def test_a_bucket_that_is_away_is_asked_few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.event_cases.FIRST_PAUSE", 0.2)
    keys = [f"k/{number}" for number in range(100)]
    bucket, ledger = MemoryBucket(set(keys), away=True), MemoryLedger()
    with desk(bucket, ledger) as at:
        at.give(*map(message, keys))
        until(lambda: bucket.asked.total() >= HEADS)
        threading.Event().wait(0.1)
        assert bucket.asked.total() <= 6 * HEADS
        assert at.intake.settled() == []
        bucket.away = False
        at.settled(100)
    assert ledger.known == sorted(keys)
    assert at.tally["deferred"] == 0


def test_an_object_that_alone_is_refused_is_left_to_the_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.event_cases.FIRST_PAUSE", 0.01)
    bucket, ledger = MemoryBucket({"a", "secret"}, refused={"secret"}), MemoryLedger()
    with desk(bucket, ledger) as at:
        at.give(message("secret"))
        for _ in range(2 * REFUSALS):
            at.give(message("a"))
            threading.Event().wait(0.08)
        until(lambda: at.tally["deferred"])
    assert ledger.known == ["a"]
    assert at.tally["deferred"] == 1


def test_what_a_lost_connection_delivered_is_waited_for_no_longer() -> None:
    bucket, ledger = MemoryBucket({"a"}), MemoryLedger()
    with desk(bucket, ledger, again_seconds=(0.2,)) as at:
        at.give(message("late"), epoch=1)
        until(lambda: bucket.asked["late"])
        at.give(message("a"), epoch=2)
        at.settled(1)
        threading.Event().wait(0.4)
        assert bucket.asked["late"] == 1


def test_a_hint_that_cannot_be_published_changes_nothing() -> None:
    def fail() -> None:
        raise OSError("the broker is away")

    with desk(MemoryBucket({"a"}), MemoryLedger(), hint=fail) as at:
        at.give(message("a"))
        at.settled(1)


def test_no_key_is_ever_logged() -> None:
    bucket = MemoryBucket({"DOE^JANE/1"}, refused={"DOE^JANE/2"})
    with structlog.testing.capture_logs() as lines, desk(bucket, MemoryLedger()) as at:
        at.give(message("DOE^JANE/1", "DOE^JANE/2"), message("DOE^JANE/3"), message("DOE^JANE", bucket="o"))
        at.settled(2)
    assert lines
    assert "DOE" not in repr(lines)
