"""Whatever a bucket's broker delivers is read as events or told as trouble; nothing is dropped, nothing raises."""

import json
import random
from typing import Any

import pytest

from pipeline.events import LONGEST_MESSAGE, MOST_RECORDS, Change, Notice, ObjectEvent, read_message

CREATED, REMOVED = Change.CREATED, Change.REMOVED


def record(
    key: str, source: str = "aws:s3", name: str = "ObjectCreated:Put", bucket: str = "scans"
) -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": source,
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": "17", "eTag": "e"}},
    }


def read(document: object) -> Notice:
    return read_message(json.dumps(document).encode(), bucket="scans")


def event(key: str, other: str | None = None, change: Change = CREATED) -> ObjectEvent:
    return ObjectEvent(key=key, other_key=other, change=change)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"Records": [record("a+b%2Fc%C3%A4.dcm")]}, event("a b/cä.dcm", "a+b%2Fc%C3%A4.dcm")),
        (
            {
                "EventName": "s3:ObjectCreated:Put",
                "Key": "scans/a b",
                "Records": [record("a+b", "minio:s3", "s3:ObjectCreated:Put")],
            },
            event("a b", "a+b"),
        ),
        ({"Records": [record("a+b/ä", "ceph:s3")]}, event("a+b/ä", "a b/ä")),
        ({"Records": [record("plain", "ceph:s3.zone.scans")]}, event("plain")),
        ({"Records": [record("a+b", "rustfs:s3")]}, event("a b", "a+b")),
        (
            {"Type": "Notification", "TopicArn": "arn", "Message": json.dumps({"Records": [record("k")]})},
            event("k"),
        ),
        (
            [{"Event": [record("a+b", "minio:s3", "s3:ObjectRemoved:Delete")], "EventTime": "2026-01-01"}],
            event("a b", "a+b", REMOVED),
        ),
        ({"Records": [record("k", name="ObjectRemoved:DeleteMarkerCreated")]}, event("k", None, REMOVED)),
        ({"Records": [record("k", name="s3:LifecycleExpiration:Delete")]}, event("k", None, REMOVED)),
        ({"Records": [record("k", name="ObjectCreated:CompleteMultipartUpload")]}, event("k")),
    ],
)
def test_each_dialect_is_read(document: object, expected: ObjectEvent) -> None:
    assert read(document) == Notice(events=(expected,))


def test_several_records_are_read_and_the_same_one_once() -> None:
    records = [record("a"), record("b"), record("a"), record("c", name="ObjectTagging:Put")]
    assert read({"Records": records}) == Notice(events=(event("a"), event("b")), ignored=1)


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_test_message_of_s3_is_of_no_interest(wrapped: bool) -> None:
    document: object = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "scans"}
    if wrapped:
        document = {"Type": "Notification", "Message": json.dumps(document)}
    assert read(document) == Notice(ignored=1)


@pytest.mark.parametrize(
    ("document", "trouble"),
    [
        ({}, "no Records in it"),
        ({"Records": []}, "no Records in it"),
        ({"Records": {"a": 1}}, "no Records in it"),
        ("text", "no Records in it"),
        ([{"EventTime": "now"}], "no Event in it"),
        ({"Records": [5]}, "a record without eventSource"),
        ({"Records": [{"eventSource": "aws:s3", "eventName": 7}]}, "a record without eventName"),
        ({"Records": [record("k", "aws:ses")]}, "eventSource 'aws:ses' is no S3 bucket"),
        ({"Records": [record("k", bucket="other")]}, "of the bucket 'other', not of 'scans'"),
        ({"Records": [record("")]}, "a key that is empty, no UTF-8 or longer than S3 allows"),
        ({"Records": [record("\ud800")]}, "a key that is empty, no UTF-8 or longer than S3 allows"),
        ({"Records": [record("x" * 1025)]}, "a key that is empty, no UTF-8 or longer than S3 allows"),
        (
            {"Type": "SubscriptionConfirmation", "Message": "m"},
            "an SNS message of type 'SubscriptionConfirmation', n",
        ),
        ({"Type": "Notification", "Message": "{"}, "no JSON"),
        ({"Records": [5] * (MOST_RECORDS + 1)}, "more than 10,000 records"),
    ],
)
def test_what_is_no_event_of_ours_is_told_with_its_reason(document: object, trouble: str) -> None:
    notice = read_message(json.dumps(document), bucket="scans") if document != {} else read(document)
    assert notice.events == ()
    assert notice.trouble.startswith(trouble)


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 100_000, "JSON nested too deeply"),
        (b'{"Records": ' + b"9" * 5000 + b"}", "no JSON"),
        (b" " * (LONGEST_MESSAGE + 1), "larger than 1 MB"),
    ],
)
def test_bytes_that_are_no_json_are_told(body: bytes, trouble: str) -> None:
    assert read_message(body, bucket="scans") == Notice(trouble=trouble)


def test_a_bad_record_does_not_sink_its_neighbours() -> None:
    notice = read({"Records": [record("a"), record("b", bucket="other"), 5, record("c")]})
    assert notice == Notice(events=(event("a"), event("c")), trouble="of the bucket 'other', not of 'scans'")


def test_a_reason_repeats_no_key_and_is_short() -> None:
    for document in ({"Records": [record("DOE^JANE" * 200)]}, {"Records": [record("k", bucket="DOE" * 200)]}):
        notice = read(document)
        assert "DOE^JANE" not in notice.trouble
        assert len(notice.trouble) < 120


def test_no_mutation_of_a_message_raises_or_is_dropped() -> None:
    chance = random.Random(7)
    seeds = [
        {"Records": [record("a+b%2Fc"), record("d", "ceph:s3")]},
        [{"Event": [record("a", "minio:s3", "s3:ObjectCreated:Put")], "EventTime": "t"}],
        {"Type": "Notification", "Message": json.dumps({"Records": [record("k")]})},
        {"Service": "Amazon S3", "Event": "s3:TestEvent"},
    ]
    for round_ in range(4000):
        text = json.dumps(seeds[round_ % len(seeds)])
        if round_ % 2:
            body = _garbled(text.encode(), chance)
        else:
            body = json.dumps(_warped(json.loads(text), chance)).encode("utf-8", "surrogatepass")
        notice = read_message(body, bucket="scans")
        assert notice.events or notice.ignored or notice.trouble
        for item in notice.events:
            assert item.key.encode()


def _garbled(body: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(body)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(mutant))
        match chance.randrange(3):
            case 0:
                mutant[at] = chance.randrange(256)
            case 1:
                del mutant[at : at + chance.randrange(9)]
            case _:
                mutant[at:at] = mutant[: chance.randrange(40)]
        if not mutant:
            break
    return bytes(mutant)


ODD: list[Any] = [
    None,
    True,
    -1,
    1e308,
    "",
    "\ud800",
    "\0",
    "s3:",
    [],
    {},
    [[]],
    {"Records": 1},
    "%",
    "%FF",
    "x" * 2000,
]


def _warped(value: Any, chance: random.Random) -> Any:
    """The same document with some values replaced by others of any type, or gone."""
    if chance.random() < 0.05:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {key: _warped(item, chance) for key, item in value.items() if chance.random() > 0.02}
    if isinstance(value, list):
        return [_warped(item, chance) for item in value for _ in range(chance.choice((1, 1, 1, 0, 2)))]
    return value
