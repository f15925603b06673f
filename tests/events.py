"""What intake's tests share: a bucket and a ledger in memory that can be away, and messages as buckets write."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO
from urllib.parse import quote_plus

from db.errors import DatabaseUnavailable
from db.records import ListedObject
from pipeline.errors import Unavailable
from pipeline.study import ObjectRef
from worker.metric_names import EventOutcome

BUCKET = "scans"


def message(*keys: str, event: str = "ObjectCreated:Put", bucket: str = BUCKET, source: str = "aws:s3") -> bytes:
    """One notification of these keys."""
    records = [
        {
            "eventSource": source,
            "eventName": event,
            "s3": {"bucket": {"name": bucket}, "object": {"key": key if source == "ceph:s3" else quote_plus(key)}},
        }
        for key in keys
    ]
    return json.dumps({"Records": records}).encode()


def access_element(*keys: str) -> bytes:
    """What MinIO pushes to a Redis list."""
    records = json.loads(message(*keys, event="s3:ObjectCreated:Put", source="minio:s3"))["Records"]
    return json.dumps([{"Event": records, "EventTime": "2026-01-01T00:00:00Z"}]).encode()


@dataclass
class MemoryBucket:
    """Objects in memory; may be away, and may refuse single keys."""

    keys: set[str] = field(default_factory=set)
    prefix: str = ""
    name: str = f"s3://{BUCKET}"
    away: bool = False
    refused: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)

    def list(self, *, after: str = "", within: str = "") -> Iterator[ObjectRef]:
        self._answer("")
        for key in sorted(self.keys, key=str.encode):
            if key.encode() > after.encode() and key.startswith(within) and key.startswith(self.prefix):
                yield _ref(key)

    def stat(self, key: str) -> ObjectRef | None:
        self.asked[key] += 1
        self._answer(key)
        return _ref(key) if key in self.keys else None

    def open(self, ref: ObjectRef) -> AbstractContextManager[BinaryIO]:
        raise NotImplementedError

    def _answer(self, key: str) -> None:
        if self.away or key in self.refused:
            raise Unavailable("away")


def _ref(key: str) -> ObjectRef:
    return ObjectRef(key=key, etag="e", size=1, last_modified=datetime.now(UTC))


@dataclass
class MemoryLedger:
    """Notes what it is told, one entry for each transaction; may be away."""

    away: threading.Event = field(default_factory=threading.Event)
    transactions: list[list[str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    @property
    def known(self) -> list[str]:
        return sorted({key for keys in self.transactions for key in keys})

    def record_objects(self, bucket: str, listed: Iterable[ListedObject]) -> int:
        assert bucket == f"s3://{BUCKET}"
        keys = [item.key for item in listed]
        self._answer()
        new = set(keys) - set(self.known)
        self.transactions.append(keys)
        return len(new)

    def mark_removed(self, bucket: str, keys: Sequence[str]) -> int:
        self._answer()
        self.removed += keys
        return len(keys)

    def _answer(self) -> None:
        if self.away.is_set():
            raise DatabaseUnavailable("away")


class Tally(Counter[str]):
    """Counts events."""

    def event(self, outcome: EventOutcome, count: int = 1) -> None:
        self[outcome] += count


def until(condition: Callable[[], Any], *, seconds: float = 10) -> Any:
    """Wait for it to be true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return value
