"""How many messages wait in the broker's queues, asked without declaring or taking anything.

Figures for people and dashboards: no decision hangs on them.
"""

from collections.abc import Sequence

from kombu import Connection
from kombu.exceptions import OperationalError

from pipeline.errors import Unavailable
from worker import queues
from worker.bounded import Bounded
from worker.settings import Settings

PATIENCE_SECONDS = 2.0


def queue_names(settings: Settings) -> tuple[str, ...]:
    """The fleet's queues, and the events' where they come through the same broker."""
    ours = (queues.CONVERT, *queues.CAPTION.values(), queues.TRAINING, queues.CONTROL, queues.DEAD)
    return ours if settings.events_url.get_secret_value() else (settings.events_queue, *ours)


def queue_depths(url: str, names: Sequence[str]) -> dict[str, int]:
    """Messages ready in each of the queues; one that does not exist (yet) is left out.

    Raises:
        Unavailable: The broker does not answer.
    """
    return Bounded("queues", lambda: _depths(url, names), seconds=PATIENCE_SECONDS)()


def _depths(url: str, names: Sequence[str]) -> dict[str, int]:
    depths = {}
    try:
        with Connection(url, connect_timeout=PATIENCE_SECONDS) as connection:
            connection.connect()
            missing = connection.channel_errors
            for name in names:
                channel = connection.channel()  # a queue that is missing closes its channel
                try:
                    depths[name] = channel.queue_declare(name, passive=True).message_count
                    channel.close()
                except missing:
                    continue
            return depths
    except (OperationalError, OSError, *Connection(url).connection_errors) as error:
        raise Unavailable(f"{type(error).__name__}; check that it runs, and NIGHTREAD_BROKER_URL") from error
