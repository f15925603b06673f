"""Connections to the brokers that buckets notify: RabbitMQ, Redis and SQS through kombu.

kombu's Redis and SQS transports expect messages that kombu wrote. What a bucket pushes is bare JSON: here it is
wrapped as it arrives, whatever it holds, so that no element can break the consumer. Connects to nothing itself.
"""

import base64
import json
import socket
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError
from kombu import Connection
from kombu.transport import SQS, redis
from redis import Redis

from pipeline.errors import UsageError

HEARTBEAT_SECONDS = 30
CONNECT_SECONDS = 10
SEND_MILLISECONDS = 20_000  # what was sent and is not confirmed for so long: the connection is dead
VISIBLE_AGAIN_SECONDS = 300  # Redis and SQS give a message to another intake when this one died with it
LONG_POLL_SECONDS = 5  # SQS; a stop waits for it


def open_connection(url: str, queue: str, *, visible_again_seconds: float = VISIBLE_AGAIN_SECONDS) -> Connection:
    """A connection, not yet made, to the broker of the events.

    Raises:
        UsageError: The URL is of no kind that events come over.
    """
    scheme = url.partition("://")[0].lower()
    settings = _SETTINGS.get(scheme)
    if settings is None:
        raise UsageError(
            f"no events come over {scheme!r}: set NIGHTREAD_EVENTS_URL to an amqp://, redis:// or sqs:// URL"
        )
    transport, options = settings(queue, visible_again_seconds)
    return Connection(
        url,
        transport=transport,
        transport_options=options,
        heartbeat=HEARTBEAT_SECONDS if transport == "pyamqp" else 0,
        connect_timeout=CONNECT_SECONDS,
    )


def connection_errors(connection: Connection) -> tuple[type[BaseException], ...]:
    """What a broker that is away, restarts or refuses may raise."""
    return (*connection.connection_errors, *connection.channel_errors, ClientError, OSError)


def _amqp(_queue: str, _visible_again: float) -> tuple[Any, dict[str, Any]]:
    return "pyamqp", {
        "confirm_publish": True,
        "socket_settings": {socket.TCP_USER_TIMEOUT: SEND_MILLISECONDS},
        "write_timeout": SEND_MILLISECONDS / 1000,
    }


def _redis(queue: str, visible_again: float) -> tuple[Any, dict[str, Any]]:
    return RawRedisTransport, {
        "visibility_timeout": visible_again,
        "unacked_key": f"{queue}.unacked",  # not kombu's common one: another program's messages are not ours
        "unacked_index_key": f"{queue}.unacked_index",
        "unacked_mutex_key": f"{queue}.unacked_mutex",
        "socket_timeout": HEARTBEAT_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_keepalive": True,
    }


def _sqs(_queue: str, visible_again: float) -> tuple[Any, dict[str, Any]]:
    return RawSqsTransport, {
        "visibility_timeout": visible_again,  # of a queue that has to be made; an existing one keeps its own
        "wait_time_seconds": LONG_POLL_SECONDS,
        "polling_interval": 0,
        "client-config": {"connect_timeout": CONNECT_SECONDS, "read_timeout": 2 * HEARTBEAT_SECONDS},
    }


_SETTINGS: dict[str, Callable[[str, float], tuple[Any, dict[str, Any]]]] = {
    "amqp": _amqp,
    "amqps": _amqp,
    "pyamqp": _amqp,
    "redis": _redis,
    "rediss": _redis,
    "sqs": _sqs,
}


class _WrappingRedis(Redis):
    """Redis whose popped elements are always what kombu expects."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != "BRPOP" or not reply:
            return reply
        name, element = reply
        return name, _wrapped(element, name.partition(redis.Channel.sep.encode())[0].decode())


def _wrapped(element: bytes, queue: str) -> bytes:
    """The element in kombu's envelope; one that is in ours already has come back from a consumer that died."""
    try:
        envelope = json.loads(element)
        if (
            envelope["headers"]["x-nightread-raw"]
            and base64.b64decode(envelope["body"], validate=True) is not None
        ):
            return _envelope(envelope["body"], queue)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        pass
    return _envelope(base64.b64encode(element).decode(), queue)


def _envelope(body: str, queue: str) -> bytes:
    properties = {
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
        "delivery_info": {"exchange": "", "routing_key": queue},
        "delivery_mode": 2,
    }
    return json.dumps({"body": body, "headers": {"x-nightread-raw": True}, "properties": properties}).encode()


class _RawRedisChannel(redis.Channel):  # type: ignore[misc]
    do_restore = False  # else kombu writes what it cannot give back, keys included, to stderr and a file

    def _get_client(self) -> type[Redis]:
        super()._get_client()  # checks the library's version
        return _WrappingRedis


class RawRedisTransport(redis.Transport):  # type: ignore[misc]
    """Lists of bare elements as queues."""

    Channel = _RawRedisChannel


class _RawSqsChannel(SQS.Channel):  # type: ignore[misc]
    do_restore = False

    def _update_queue_cache(self, queue_name_prefix: str) -> None:
        """Ask for the one queue by name: listing all queues needs a right that few are given."""
        if not queue_name_prefix:
            return
        client = self.sqs()
        try:
            self._queue_cache[queue_name_prefix] = client.get_queue_url(QueueName=queue_name_prefix)["QueueUrl"]
        except client.exceptions.QueueDoesNotExist:
            return

    def _decode_python_message_body(self, raw_body: str | bytes) -> bytes:
        return raw_body.encode() if isinstance(raw_body, str) else raw_body

    def _prepare_json_payload(self, _text: str) -> dict[str, Any]:
        return {}  # never taken for kombu's own envelope

    def _restore(self, message: Any) -> None:
        """Let another consumer have it now."""
        self.sqs().change_message_visibility(
            QueueUrl=message.delivery_info["sqs_queue"], ReceiptHandle=message.delivery_tag, VisibilityTimeout=0
        )

    def _put(self, queue: str, message: dict[str, Any], **_options: Any) -> None:
        """Send a dead letter as it came, its headers as attributes."""
        body = self.decode_body(message["body"], message["properties"].get("body_encoding"))
        self.sqs().send_message(
            QueueUrl=self._new_queue(queue),
            MessageBody=body.decode("utf-8", "replace") or " ",
            MessageAttributes={
                name: {"DataType": "String", "StringValue": str(value)}
                for name, value in message["headers"].items()
                if value
            },
        )


class RawSqsTransport(SQS.Transport):  # type: ignore[misc]
    """SQS queues of bare bodies."""

    Channel = _RawSqsChannel
