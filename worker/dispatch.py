"""Who is told of work: a permit to the converters, or to the captioners of each lane that has any.

The ledger decides whether there is work, the broker how many permits wait already. So queues stay short whatever
the backlog, and a broker that lost everything is filled again within seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from db.ledger import Ledger
from db.records import Lane
from db.trainings import Trainings
from worker.queues import CAPTION, CONVERT, TRAINING

HINTS = 8  # permits in a queue: as many workers may start at once, and each that finds more sends another


class Sender(Protocol):
    """Sends permits; one that cannot be sent is no error."""

    def send(self, task: str, queue: str, count: int = 1) -> None:
        """Tell whoever serves the queue that there is work for the task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatch:
    """The permits of one process."""

    ledger: Ledger
    trainings: Trainings
    sender: Sender
    waiting: Callable[[], Mapping[str, int]]  # permits in each queue

    def conversions(self, count: int) -> None:
        """There are objects to convert."""
        self.sender.send("convert", CONVERT, count)

    def captions(self, count: int) -> None:
        """There may be studies to caption: tell each lane that has any."""
        for lane in self.ledger.has_work(lanes=list(Lane)).lanes:
            self.sender.send("caption", CAPTION[lane], count)

    def refill(self) -> None:
        """Send permits where there is work and no permit waits."""
        work = self.ledger.has_work(lanes=list(Lane))
        due = {CAPTION[lane]: "caption" for lane in work.lanes}
        if work.convert:
            due[CONVERT] = "convert"
        if self.trainings.has_work():
            due[TRAINING] = "training"
        if not due:
            return
        waiting = self.waiting()
        for queue, task in due.items():
            if not waiting.get(queue):
                self.sender.send(task, queue, HINTS)
