"""The broker as a service: whether it can be used as the settings say, and how many messages wait.

Asked once before any work is taken, so that a wrong URL, user, virtual host or queue ends a process with one line
that names the setting; and by readiness and the sweep later on. Speaks AMQP 0-9-1 as RabbitMQ does.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, NotFound, PreconditionFailed
from kombu import Connection
from kombu.exceptions import OperationalError

from pipeline.errors import NightreadError, UsageError
from worker.queues import dead_queue, work_queues

SETTING = "NIGHTREAD_BROKER_URL"
CONNECT_SECONDS = 10
HEARTBEAT = 30  # seconds; a connection that is silent for two of them is closed
SCHEMES = ("amqp", "amqps", "pyamqp")
UNACKNOWLEDGED_MS = 30_000  # Linux: a connection whose bytes nobody confirms for so long is broken

# For every AMQP connection of ours: publishes are confirmed, and a cut network is noticed by the kernel.
TRANSPORT_OPTIONS = {
    "confirm_publish": True,
    "socket_settings": {socket.TCP_USER_TIMEOUT: UNACKNOWLEDGED_MS},
    "read_timeout": CONNECT_SECONDS * 3,
    "write_timeout": CONNECT_SECONDS * 3,
}


class BrokerError(NightreadError):
    """The broker cannot be used as the settings say."""


def prepare(url: str) -> None:
    """Declare every queue of the fleet; does nothing that was done before.

    Raises:
        UsageError: No URL was given.
        BrokerError: It cannot be reached, refuses us, or has such a queue with other settings.
    """
    with connected(url) as connection:
        for queue in (dead_queue(), *work_queues()):
            try:
                queue(connection.channel()).declare()
            except PreconditionFailed as error:
                raise BrokerError(
                    f"{SETTING}: queue {queue.name!r} exists there with other settings ({_told(error)}); "
                    "delete it if it is empty, or name a virtual host of Nightread's own"
                ) from error


def waiting(url: str, queues: Sequence[str]) -> dict[str, int]:
    """Messages that wait in each queue, for whoever comes; a queue that does not exist is left out."""
    found: dict[str, int] = {}
    with connected(url) as connection:
        for name in queues:
            try:
                found[name] = connection.channel().queue_declare(name, passive=True).message_count
            except NotFound:
                continue
    return found


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection for the block; what the broker says of it becomes one line with the setting's name."""
    connection = Connection(
        require_amqp(url),
        connect_timeout=CONNECT_SECONDS,
        heartbeat=HEARTBEAT,
        transport_options=TRANSPORT_OPTIONS,
    )
    where = f"{SETTING}: {connection.as_uri()}"
    try:
        connection.connect()
        yield connection
    except AccessRefused as error:
        raise BrokerError(
            f"{where} refuses this user ({_told(error)}); check user, password and rights"
        ) from error
    except NotAllowed as error:
        raise BrokerError(
            f"{where} has no virtual host {connection.virtual_host!r} for this user; check the end of the URL, "
            "or create it and grant the rights"
        ) from error
    except (OSError, AMQPError, OperationalError) as error:
        raise BrokerError(
            f"{where} does not answer ({_told(error)}); check host and port, and that it runs"
        ) from error
    finally:
        connection.release()


def require_amqp(url: str) -> str:
    """The URL, if it is one of a broker that the fleet works with."""
    if not url:
        raise UsageError(f"no broker was given: set {SETTING}=amqp://USER:PASSWORD@HOST:5672/VHOST")
    scheme = urlsplit(url).scheme  # the URL may hold a password: it is not repeated
    if scheme not in SCHEMES:
        raise BrokerError(f"{SETTING}: a broker of kind {scheme!r} cannot carry the fleet's work; give amqp://…")
    try:
        urlsplit(url).port  # noqa: B018  # asked for its complaint
    except ValueError as error:
        raise BrokerError(
            f"{SETTING} cannot be read ({error}); give amqp://USER:PASSWORD@HOST:5672/VHOST"
        ) from None
    return url


def _told(error: BaseException) -> str:
    """The broker's own words, one line of them."""
    words = getattr(error, "reply_text", "") or str(error) or type(error).__name__
    return str(words).splitlines()[0]
