"""The Celery application of one process, and the hints that processes send each other.

Tasks carry nothing and return nothing: a message is a permit to work for a slice (see `queues`). So everything in
Celery that keeps state is off: results, events, remote control, gossip, count-downs. Acknowledgement comes after
the work; a process that dies gives its permit back.
"""

import logging
import warnings
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any, ClassVar

import celery.worker.consumer
import structlog
from amqp.exceptions import AMQPError, MessageNacked
from celery import Celery
from celery.beat import EmbeddedService, Scheduler
from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_shutting_down
from kombu.exceptions import OperationalError

from pipeline.errors import NightreadError
from worker.broker import CONNECT_SECONDS, HEARTBEAT, TRANSPORT_OPTIONS
from worker.queues import CONTROL, work_queues

log = structlog.get_logger()

PREFIX = "nightread."  # of a task's name


def make_app(broker_url: str) -> Celery:
    """The application, without any task yet; nothing is connected."""
    app = Celery("nightread", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=work_queues(),
        task_default_queue=CONTROL,
        task_default_exchange="nightread",
        task_default_routing_key=CONTROL,
        task_default_queue_type="quorum",
        task_create_missing_queues=False,
        accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_publish_retry=False,  # a hint that does not go out is sent anew by the sweep
        worker_prefetch_multiplier=1,
        worker_detect_quorum_queues=True,
        worker_consumer=f"{__name__}:Consumer",
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_heartbeat=HEARTBEAT,
        broker_connection_timeout=CONNECT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever
        broker_channel_error_retry=True,  # what RabbitMQ's consumer timeout closes is the channel alone
        broker_transport_options=TRANSPORT_OPTIONS,
        enable_utc=True,
    )
    return app


class Consumer(celery.worker.consumer.Consumer):  # type: ignore[misc]
    """Celery's, without the 28 queues of its delayed delivery: the ledger holds what is for later."""

    class Blueprint(celery.worker.consumer.Consumer.Blueprint):  # type: ignore[misc]
        """The steps of a worker's start."""

        default_steps: ClassVar[list[str]] = [
            step
            for step in celery.worker.consumer.Consumer.Blueprint.default_steps
            if not step.endswith(":DelayedDelivery")
        ]


def add_tasks(app: Celery, tasks: Mapping[str, Callable[[], object]], *, acks_late: bool = True) -> None:
    """Make these functions answer to their names.

    `acks_late=False` is for work that outlasts the half hour that a broker waits for an acknowledgement.
    """
    for name, function in tasks.items():
        app.task(_logged(name, function), name=PREFIX + name, shared=False, acks_late=acks_late)


def _logged(name: str, function: Callable[[], object]) -> Callable[[], None]:
    """A slice that fails costs its permit and nothing else: what it had claimed stays in the ledger."""

    def run() -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001  # the process goes on; liveness tells when it never succeeds
            log.error("slice_failed", task=name, kind=type(error).__name__, reason=_first_line(error))  # noqa: TRY400

    return run


class Hints:
    """Sends permits. One that cannot be sent is no loss: the sweep looks for work that nobody was told of."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, task: str, queue: str, count: int = 1) -> None:
        """Tell whoever serves the queue that there is work for the task."""
        try:
            for _ in range(count):
                self._app.send_task(PREFIX + task, queue=queue, routing_key=queue, ignore_result=True)
        except MessageNacked:
            return  # the queue is full of permits
        except (OSError, OperationalError, AMQPError) as error:
            log.warning("hint_not_sent", queue=queue, reason=_first_line(error))


def work(app: Celery, *, name: str, queues: list[str], threads: int, stop: Event) -> None:
    """Serve the queues until SIGTERM or SIGINT; then `stop` is set, the slices in hand end, and this returns."""

    def begin_to_stop(**_signal: Any) -> None:
        stop.set()

    warnings.simplefilter("ignore", SecurityWarning)  # of running as root; no message of ours can hold code
    worker_shutting_down.connect(begin_to_stop)
    setup_logging.connect(_keep_logging)
    logging.getLogger("amqp").setLevel(logging.WARNING)
    worker = app.Worker(
        hostname=name,
        queues=queues,
        pool="threads",
        concurrency=threads,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    if not stop.is_set():
        raise NightreadError("the worker ended by itself: Celery met an error that it cannot recover from")


def keep_time(app: Celery, schedule: Mapping[str, float]) -> Any:
    """Send each task to the control queue every so many seconds, in a thread, until `stop` is called on it."""
    app.conf.beat_schedule = {
        name: {
            "task": PREFIX + name,
            "schedule": seconds,
            "options": {
                "queue": CONTROL,
                "routing_key": CONTROL,
                # One that nobody took before the next is sent is worth nothing.
                "expires": max(2.0, 2 * seconds),
                # Beat keeps one channel for ever; only a retry opens another once the broker was away.
                "retry": True,
                "retry_policy": {"max_retries": 3},
            },
        }
        for name, seconds in schedule.items()
    }
    beat = EmbeddedService(app, thread=True, scheduler_cls=Scheduler)
    beat.start()
    return beat


def _keep_logging(**_signal: Any) -> None:
    """Connected so that Celery leaves the logging alone."""


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
