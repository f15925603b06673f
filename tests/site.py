"""A hospital's services, all real: PostgreSQL, RabbitMQ, an S3 bucket whose notifications go to RabbitMQ.

The gateway keeps its notifications until the broker took them (`persistent`), as a site would have it: a PUT waits
for no broker, and none is lost while the broker is away. It finds a new topic within half a minute, so one topic
serves all tests; each has its own bucket and queue.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from kombu import Connection, Exchange

from tests.services.postgres_service import PostgreSQL, running_postgres
from tests.services.rabbitmq_service import RabbitMQ, running_rabbitmq
from tests.services.s3_service import S3Service, running_s3

EXCHANGE = Exchange("dicom-events", type="topic", durable=True)
TOPIC = "dicom"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Services that know each other."""

    postgres: PostgreSQL
    rabbitmq: RabbitMQ
    s3: S3Service
    topic: str  # its ARN

    def create_bucket(self, name: str) -> None:
        """Make a bucket that tells of its new objects."""
        client = self.s3.client()
        client.create_bucket(Bucket=name)
        told: Any = {"Id": name, "TopicArn": self.topic, "Events": ["s3:ObjectCreated:*"]}
        client.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"TopicConfigurations": [told]}
        )


def introduce(postgres: PostgreSQL, rabbitmq: RabbitMQ, s3: S3Service) -> Site:
    """Let the gateway tell the broker."""
    with Connection(rabbitmq.url) as connection:
        EXCHANGE(connection.channel()).declare()
    attributes = {
        "push-endpoint": rabbitmq.guest_url,
        "amqp-exchange": EXCHANGE.name,
        "amqp-ack-level": "broker",
        "persistent": "true",
    }
    topic = s3.notifier().create_topic(Name=TOPIC, Attributes=attributes)["TopicArn"]
    return Site(postgres=postgres, rabbitmq=rabbitmq, s3=s3, topic=str(topic))


@contextmanager
def running_site(*settings: str, address: str = "") -> Iterator[Site]:
    """Services of its own, started together; a setting is a line of rabbitmq.conf."""
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        postgres = threads.submit(stack.enter_context, running_postgres(address))
        rabbitmq = threads.submit(stack.enter_context, running_rabbitmq(*settings, address=address))
        s3 = threads.submit(stack.enter_context, running_s3(address))
        yield introduce(postgres.result(), rabbitmq.result(), s3.result())
