"""Training runs of the fleet: one at a time, each `nightread-train` in a process of its own, leased in SQL.

The trainer never meets the ledger, and the ledger no model: all that passes between them is a path and an exit
code. A run whose worker dies is begun again by another, `attempts` times at most. A run that promotes is published
and judged by this worker once the trainer is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event

import click
import structlog

from db.errors import DatabaseError
from db.fleet_tables import TrainingState
from db.trainings import Trainings, TrainingWork
from pipeline.errors import NightreadError
from worker.bootstrap import Site
from worker.candidacy import Candidacy, plan_of
from worker.metric_names import TrainingOutcome
from worker.metrics import Metrics
from worker.pulse import Pulse
from worker.settings import Settings
from worker.terminal import print_json
from worker.trainer import LOOK_SECONDS, PROGRAM, Trainer, TrainerStopped

RENEWALS = 10  # in the time of a lease, so that a database that is away for a while costs no run

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSlice:
    """Take the oldest run that waits, and see it through."""

    trainings: Trainings
    owner: str
    lease_seconds: float
    pulse: Pulse
    stop: Event
    site: Callable[[], Site]  # asked for where a run's model is published
    program: Sequence[str] = PROGRAM
    metrics: Metrics = field(default_factory=Metrics)

    def __call__(self) -> None:
        """Do it; nothing waits: nothing is done."""
        work = self.trainings.claim(owner=self.owner, lease_seconds=self.lease_seconds)
        if work is None:
            return
        log.info("training_started", run=work.run_id, promotes=work.promotes)
        try:
            outcome, reason = self._train(work)
        except TrainerStopped as error:
            self.trainings.let_go(work, owner=self.owner, reason=str(error))
            log.warning("training_stopped", run=work.run_id, reason=str(error))
            return
        except (NightreadError, DatabaseError) as error:
            if isinstance(error, DatabaseError) and error.retryable:
                raise  # the lease runs out, and the run goes on where it was
            outcome, reason = "failed", str(error)
        state = TrainingState.FAILED if outcome == "failed" else TrainingState.SUCCEEDED
        self.trainings.settle(work, owner=self.owner, state=state, reason=reason)
        self.metrics.trained(outcome)
        log.info("training_ended", run=work.run_id, outcome=outcome, reason=reason)
        self.pulse.moved(1)

    def _train(self, work: TrainingWork) -> tuple[TrainingOutcome, str]:
        trainer = self._trainer(work)
        if not work.promotes:
            trainer("fit", work.config)
            return "trained", ""
        plan = plan_of(work)
        if work.model_version_id is None and not plan.is_trained:
            trainer("fit", plan.config, "--version", plan.version)

        def note(version_id: int) -> None:
            self.trainings.published(work, owner=self.owner, model_version_id=version_id)

        candidacy = Candidacy(site=self.site(), published=note, train=trainer)
        promoted, reason = candidacy.stand(work, plan)
        return ("promoted" if promoted else "kept"), reason

    def _trainer(self, work: TrainingWork) -> Trainer:
        seconds = min(LOOK_SECONDS, self.lease_seconds / RENEWALS)

        def still_ours() -> bool:
            try:
                return self.trainings.renew(work, owner=self.owner, lease_seconds=self.lease_seconds)
            except DatabaseError as error:
                if not error.retryable:
                    raise
                return True  # as long as nobody can be asked; what was lost meanwhile is seen when settling

        return Trainer(
            still_ours=still_ours,
            lease_looks=max(1, int(self.lease_seconds / RENEWALS / LOOK_SECONDS)),
            look_seconds=seconds,
            pulse=self.pulse,
            stop=self.stop,
            program=self.program,
        )


def request_training(settings: Settings, config: str, *, promotes: bool = False) -> None:
    """Queue a run of this configuration; `promotes`: publish what it makes, and promote it if it passes."""
    site = Site(settings=settings)
    site.require_ledger()
    run_id = Trainings(site.engine).request(config, actor="operator", promotes=promotes)
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
