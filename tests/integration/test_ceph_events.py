"""What a real S3 gateway tells of its bucket reaches the ledger."""

from typing import Any

import pytest
from kombu import Connection

from pipeline.s3_bucket import S3Bucket
from tests.brokers import Rabbit, consuming
from tests.events import BUCKET, MemoryLedger, until
from tests.services.rabbitmq_service import RabbitMQ
from tests.services.s3_service import S3Service

EXCHANGE, QUEUE = "dicom-events", "ceph.events"


@pytest.fixture
def client(s3_service: S3Service, rabbitmq: RabbitMQ) -> Any:
    """A bucket that notifies a queue which the site has bound."""
    with Connection(rabbitmq.url) as connection:
        channel = connection.channel()
        channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)
        channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        channel.queue_bind(QUEUE, EXCHANGE, "#")
    client: Any = s3_service.client()
    client.create_bucket(Bucket=BUCKET)
    topic = s3_service.notifier().create_topic(
        Name="dicom",
        Attributes={"push-endpoint": rabbitmq.guest_url, "amqp-exchange": EXCHANGE, "amqp-ack-level": "broker"},
    )["TopicArn"]
    told = {"Id": "all", "TopicArn": topic, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    client.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"TopicConfigurations": [told]}
    )
    return client


def test_objects_of_a_real_gateway_are_recorded_under_their_own_keys(client: Any, rabbitmq: RabbitMQ) -> None:
    keys = ["s/a b+c.dcm", "s/ä%41.dcm", "s/plain"]
    ledger, broker = MemoryLedger(), Rabbit(url=rabbitmq.url, queue=QUEUE)
    with consuming(broker, S3Bucket(BUCKET, client=client), ledger) as tally:
        for key in keys:
            client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        upload = client.create_multipart_upload(Bucket=BUCKET, Key="s/large")["UploadId"]
        part = client.upload_part(Bucket=BUCKET, Key="s/large", UploadId=upload, PartNumber=1, Body=b"y")
        client.complete_multipart_upload(
            Bucket=BUCKET,
            Key="s/large",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )
        until(lambda: ledger.known == sorted([*keys, "s/large"]), seconds=60)
        client.delete_object(Bucket=BUCKET, Key="s/plain")
        until(lambda: "s/plain" in ledger.removed, seconds=60)
    assert tally["dead"] == 0
    assert broker.dead() == []
