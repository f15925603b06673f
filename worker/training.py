"""Training runs of the fleet: one at a time, each `nightread-train fit` in a process of its own, leased in SQL.

The trainer never meets the ledger, and the ledger no model: all that passes between them is a path and an exit
code. A run whose worker dies is begun again by another, `attempts` times at most.
"""

import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Thread

import click
import structlog

from db.fleet_tables import TrainingState
from db.trainings import Trainings, TrainingWork
from worker.bootstrap import Site
from worker.pulse import Pulse
from worker.settings import Settings
from worker.terminal import print_json

PROGRAM = (sys.executable, "-m", "training", "fit")
LOOK_SECONDS = 5.0
RENEWALS = 10  # in the time of a lease, so that a database that is away for a while costs no run
LINES_KEPT = 5  # of what the trainer said last
ENDING_SECONDS = 30.0  # for a trainer that was asked to end

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSlice:
    """Take the oldest run that waits, and see it through."""

    trainings: Trainings
    owner: str
    lease_seconds: float
    pulse: Pulse
    stop: Event
    program: Sequence[str] = PROGRAM

    def __call__(self) -> None:
        """Do it; nothing waits: nothing is done."""
        work = self.trainings.claim(owner=self.owner, lease_seconds=self.lease_seconds)
        if work is None:
            return
        log.info("training_started", run=work.run_id)
        said: deque[str] = deque(maxlen=LINES_KEPT)
        with subprocess.Popen(  # noqa: S603  # our own program, and a path that the operator gave
            [*self.program, work.config],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        ) as process:
            listener = Thread(target=self._listen, args=(process, said), daemon=True)
            listener.start()
            self._watch(process, work)
            listener.join()
        self._settle(work, process.returncode, said)

    def _listen(self, process: "subprocess.Popen[str]", said: deque[str]) -> None:
        """What the trainer says moves the pulse and goes to our log."""
        for line in process.stdout or ():
            said.append(line.strip())
            self.pulse.moved()
            sys.stderr.write(line)

    def _watch(self, process: "subprocess.Popen[str]", work: TrainingWork) -> None:
        """Until it ends: hold the lease, and end the trainer when we drain or the run is another's."""
        looks = max(1, int(self.lease_seconds / RENEWALS / LOOK_SECONDS))
        look = 0
        while process.poll() is None:
            if self.stop.wait(min(LOOK_SECONDS, self.lease_seconds / RENEWALS)):
                break
            look += 1
            self.pulse.moved()  # the trainer lives; how it does is in its log
            if look % looks == 0 and not self.trainings.renew(
                work, owner=self.owner, lease_seconds=self.lease_seconds
            ):
                log.warning("training_lost", run=work.run_id)
                break
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def _settle(self, work: TrainingWork, code: int, said: Sequence[str]) -> None:
        if self.stop.is_set() and code:
            self.trainings.let_go(work, owner=self.owner, reason="its worker was stopped; it begins again")
        elif code:
            last = said[-1] if said else "it said nothing"
            reason = f"nightread-train fit ended with exit code {code}: {last}"
            self.trainings.settle(work, owner=self.owner, state=TrainingState.FAILED, reason=reason)
        else:
            self.trainings.settle(work, owner=self.owner, state=TrainingState.SUCCEEDED)
        log.info("training_ended", run=work.run_id, exit_code=code)
        self.pulse.moved(1)


def request_training(settings: Settings, config: str) -> None:
    """Queue a run of this configuration."""
    site = Site(settings=settings)
    site.require_ledger()
    run_id = Trainings(site.engine).request(config, actor="operator")
    click.echo(f"Training run {run_id} is queued; the next free `nightread worker training` takes it.")


def list_trainings(settings: Settings, *, limit: int, as_json: bool) -> None:
    """The newest runs and how they ended."""
    site = Site(settings=settings)
    site.require_ledger()
    entries = Trainings(site.engine).entries(limit)
    if as_json:
        print_json([{name: getattr(entry, name) for name in entry.__slots__} for entry in entries])
        return
    for entry in entries:
        on = f" on {entry.worker}" if entry.worker else ""
        click.echo(
            f"{entry.run_id}: {entry.state}{on}, {entry.config}" + (f"; {entry.reason}" if entry.reason else "")
        )
    if not entries:
        click.echo("There is no training run yet: `nightread train CONFIG` queues one.")
