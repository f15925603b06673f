"""The bytes of one bucket notification → what it says happened to which objects. Pure; trusts nothing in them.

Reads what AWS S3, MinIO (and those that follow it) and Ceph write, also inside SNS's envelope or in the list that
MinIO pushes to Redis. Only the bucket and the key are taken: size and etag are what a HEAD says, later. A key
comes form-encoded from all but Ceph, and not all keep to it, so the other reading is handed on as well.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import unquote_plus

LONGEST_MESSAGE = 1 << 20  # bytes; S3 itself sends a kilobyte a record
MOST_RECORDS = 10_000
LONGEST_KEY = 1024  # bytes; S3's limit
SHOWN = 40  # characters of a foreign value in a reason

TEST_EVENT = "s3:TestEvent"
_RAW_SOURCE = "ceph:s3"


class Change(Enum):
    """What happened to an object."""

    CREATED = "created"
    REMOVED = "removed"


_CHANGES = {
    "ObjectCreated:": Change.CREATED,
    "ObjectRemoved:": Change.REMOVED,
    "LifecycleExpiration:": Change.REMOVED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectEvent:
    """One object that an event names. The key may hold a patient's name: never log it."""

    key: str
    other_key: str | None  # the same text read the other way; None where both readings agree
    change: Change


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What one message says: its sound records are good whatever the others are."""

    events: tuple[ObjectEvent, ...] = ()
    ignored: int = 0  # records of no interest: tags, restores, a test
    trouble: str = ""  # why the message belongs in the dead-letter queue, "" when it does not


class _UnreadableError(Exception):
    """The message or the record is none of those that we know; the text says why, and names no key."""


def read_message(body: bytes | str, *, bucket: str) -> Notice:
    """What the message says of `bucket` (its bare name); never raises for what the bytes are."""
    if len(body) > LONGEST_MESSAGE:
        return Notice(trouble=f"larger than {LONGEST_MESSAGE >> 20} MB")
    try:
        records = list(_records(_parsed(body)))
    except _UnreadableError as error:
        return Notice(trouble=str(error))
    if len(records) > MOST_RECORDS:
        return Notice(trouble=f"more than {MOST_RECORDS:,} records")
    events: dict[ObjectEvent, None] = {}
    ignored, trouble = 0, ""
    for record in records:
        try:
            event = _event(record, bucket)
        except _UnreadableError as error:
            trouble = trouble or str(error)
            continue
        if event is None:
            ignored += 1
        else:
            events[event] = None
    return Notice(events=tuple(events), ignored=ignored, trouble=trouble)


def _parsed(body: bytes | str) -> Any:
    try:
        return json.loads(body)
    except RecursionError:
        raise _UnreadableError("JSON nested too deeply") from None
    except ValueError:  # a UnicodeDecodeError is one; neither's text is repeated, it may quote a key
        raise _UnreadableError("no JSON") from None


def _records(document: Any) -> Iterator[Any]:
    """The records of a document of any dialect."""
    if isinstance(document, dict) and isinstance(document.get("Message"), str):
        if document.get("Type") != "Notification":
            raise _UnreadableError(f"an SNS message of type {_shown(document.get('Type'))}, not Notification")
        document = _parsed(document["Message"])
    if isinstance(document, list) and document:  # MinIO to Redis, format `access`
        for element in document:
            yield from _listed(element, "Event")
    elif isinstance(document, dict) and document.get("Event") == TEST_EVENT:
        yield {"eventSource": "aws:s3", "eventName": TEST_EVENT}
    else:
        yield from _listed(document, "Records")


def _listed(document: Any, field: str) -> list[Any]:
    records = document.get(field) if isinstance(document, dict) else None
    if not isinstance(records, list) or not records:
        raise _UnreadableError(f"no {field} in it")
    return records


def _event(record: Any, bucket: str) -> ObjectEvent | None:
    """The record's object; None when what happened is of no interest."""
    source, name = _text(record, "eventSource"), _text(record, "eventName").removeprefix("s3:")
    if source.partition(".")[0].rpartition(":")[2] != "s3":
        raise _UnreadableError(f"eventSource {_shown(source)} is no S3 bucket")
    change = next((change for prefix, change in _CHANGES.items() if name.startswith(prefix)), None)
    if change is None:
        return None
    named = _text(record, "s3", "bucket", "name")
    if named != bucket:
        raise _UnreadableError(f"of the bucket {_shown(named)}, not of {bucket!r}")
    raw = _text(record, "s3", "object", "key")
    decoded = unquote_plus(raw)
    first, other = (raw, decoded) if source.startswith(_RAW_SOURCE) else (decoded, raw)
    if not _possible(first):
        raise _UnreadableError("a key that is empty, no UTF-8 or longer than S3 allows")
    return ObjectEvent(key=first, other_key=other if other != first and _possible(other) else None, change=change)


def _text(record: Any, *path: str) -> str:
    for step in path:
        record = record.get(step) if isinstance(record, dict) else None
    if not isinstance(record, str):
        raise _UnreadableError(f"a record without {'.'.join(path)}")
    return record


def _possible(key: str) -> bool:
    """Whether an object can have this key; asking for another would be refused, and asked again for ever."""
    try:
        return 0 < len(key.encode()) <= LONGEST_KEY
    except UnicodeEncodeError:
        return False


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else type(value).__name__
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
