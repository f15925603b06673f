"""The fleet's queues: their names and how they are declared. No connection is made here.

A message is a permit to work for a while on whatever the ledger says is due; it carries no study. So it may be
lost (the sweep sends another), come twice (the second finds nothing) or late (what is due then is done). All are
quorum queues; what is refused or comes back too often goes to the dead-letter queue.
"""

from kombu import Exchange, Queue

from db.records import Lane

CONVERT = "nightread.convert"
CAPTION = {lane: f"nightread.caption.{lane.value}" for lane in Lane}
TRAINING = "nightread.training"
CONTROL = "nightread.control"  # release, sweep, scan, back-fill: short work of the beat
DEAD = "nightread.dead"
DELIVERIES = 20  # a message that comes back more often is dead-lettered
MOST = 32  # permits that wait: more would say nothing more, and the broker refuses them

QUORUM = {"x-queue-type": "quorum"}


def names(events_queue: str = "") -> list[str]:
    """All queues of the fleet, that of the events among them where it is on the same broker."""
    ours = [CONVERT, *CAPTION.values(), TRAINING, CONTROL, DEAD]
    return [events_queue, *ours] if events_queue else ours


def work_queues() -> list[Queue]:
    """Every queue that tasks are sent to."""
    exchange = Exchange("nightread", type="direct", durable=True)
    arguments = dict.fromkeys([CONVERT, *CAPTION.values(), TRAINING], _PERMITS) | {CONTROL: QUORUM}
    return [
        Queue(name, exchange, routing_key=name, queue_arguments=settings) for name, settings in arguments.items()
    ]


def dead_queue() -> Queue:
    """Where messages end that nobody can work on, for a person to look at."""
    exchange = Exchange(DEAD, type="fanout", durable=True)
    return Queue(DEAD, exchange, routing_key="", queue_arguments=QUORUM)


_PERMITS = QUORUM | {
    "x-delivery-limit": DELIVERIES,
    "x-dead-letter-exchange": DEAD,
    "x-max-length": MOST,
    "x-overflow": "reject-publish",
}
