"""The training loop, for whatever is trained: images, concepts, captions, rewards.

Draws epochs, updates the weights, judges, keeps the best and saves its state; a killed run goes on bit for bit on
a CPU. Under torchrun the ranks share each batch. In the run's folder `NAME.state` is what a resume needs,
`NAME.jsonl` the loss curve. Assumes that a task draws the same epoch from the same random numbers, and that its
parameters are on their device. Knows no images and no words.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import UsageError
from training.averaging import Average, State, averaged, copy_state
from training.checkpointing import Facts, read_state, write_state
from training.curve import Curve, Taken
from training.distribution import Ranks, present_ranks
from training.history import History, open_board
from training.optimisation import Optimiser
from training.progress import Moment, progress_shown
from training.randomness import randomness_at
from training.task import LoopSettings, Result, Task

log = logging.getLogger(__name__)
TOLD_EVERY = 10  # updates; reading a loss from a GPU makes it wait


@dataclass(kw_only=True)
class _Standing:
    """Where a run is: plain values, saved with its state."""

    epoch: int = 0
    batch: int = 0  # done in this epoch
    update: int = 0  # done in the run
    losses: float = 0.0  # sum over this epoch's updates
    count: int = 0  # of those updates
    best_epoch: int = -1
    best_score: float = -math.inf
    waited: int = 0  # judgements since
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)


def run(
    task: Task, settings: LoopSettings, *, seed: int, folder: Path, name: str, facts: Facts | None = None
) -> Result:
    """Train; go on where an earlier process was killed; leave the module in its best epoch.

    `facts` are what else must be the same for a resume: the task's settings, a hash of its data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    loop = _Loop(task, settings, seed=seed, place=folder / name, ranks=present_ranks())
    size = loop.resume({**_own_facts(task, settings, seed, loop), **(facts or {})})
    if not loop.standing.finished:
        loop.go(size)
    task.module.load_state_dict(loop.best)
    loop.ranks.copy_first(task.module)  # averages of running statistics differ
    standing = loop.standing
    return Result(best_epoch=standing.best_epoch, best_score=standing.best_score, history=tuple(standing.history))


def _own_facts(task: Task, settings: LoopSettings, seed: int, loop: "_Loop") -> dict[str, Any]:
    shapes = repr([(key, tuple(value.shape)) for key, value in task.module.state_dict().items()])
    settled = {key: value for key, value in asdict(settings).items() if key != "save_every"}
    architecture = hashlib.sha256(shapes.encode()).hexdigest()[:12]
    place = {"ranks": loop.ranks.count, "device": loop.optimiser.device.type}
    return {**settled, **place, "seed": seed, "architecture": architecture}


class _Loop:
    """One process's part in one run."""

    def __init__(self, task: Task, settings: LoopSettings, *, seed: int, place: Path, ranks: Ranks) -> None:
        self.task, self.settings, self.seed, self.place, self.ranks = task, settings, seed, place, ranks
        self.optimiser = Optimiser(
            task.groups(),
            weight_decay=settings.weight_decay,
            warm_up=settings.warm_up,
            clip=settings.clip,
            mixed=settings.mixed_precision,
        )
        ranks.copy_first(task.module)
        decay = settings.average_decay
        self.average = None if decay is None else Average(task.module, decay)
        self.standing = _Standing()
        self.best: State = {}
        self.facts: Facts = {}
        self.batches: list[list[int]] = []
        self.curve = Curve(place=place, ids=task.ids, history=None)
        self.show: Callable[[Moment], None] = lambda _: None

    def resume(self, facts: Facts) -> int:
        """Take up the state of an earlier process; the size of its history."""
        self.facts = facts
        state = read_state(self._file("state"), facts, self.optimiser.device)
        if state is None:
            return 0
        self.standing, self.best = _Standing(**state["standing"]), state["best"]
        if not self.standing.finished:
            self.task.module.load_state_dict(state["module"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.average:
                self.average.state, self.average.updates = state["average"], self.standing.update
            log.info("%s goes on after update %d", self.place.name, self.standing.update)
        return int(state["history"])

    def go(self, size: int) -> None:
        """Train to the end."""
        name, first = self.place.name, self.ranks.first
        if first:
            board = open_board(self._file("board"), self.standing.update)
            self.curve.history = History(self._file("jsonl"), size=size, board=board)
        try:
            with progress_shown(name, quietly=not first) as self.show:
                while not self.standing.finished:
                    self._train_epoch()
                    self._close_epoch()
        finally:
            if self.curve.history:
                self.curve.history.close()

    def _file(self, suffix: str) -> Path:
        return self.place.with_name(f"{self.place.name}.{suffix}")

    def _train_epoch(self) -> None:
        now, together = self.standing, self.settings.accumulate
        drawn = self.task.epoch(now.epoch, randomness_at(self.seed, now.epoch))
        self.batches = [list(index) for index in drawn]
        if not self.batches:
            raise UsageError(f"epoch {now.epoch + 1} of {self.place.name} has no batch; give it more data")
        self.task.module.train()
        for start in range(now.batch, len(self.batches), together):
            self.curve.take(self._update(start, self.batches[start : start + together]))
            if now.update % TOLD_EVERY == 0:
                self._tell()
            if now.update % self.settings.save_every == 0:
                self._save()
        self._tell()

    def _update(self, start: int, batches: Sequence[Sequence[int]]) -> Taken:
        now, task = self.standing, self.task
        total = sum(task.weight(index) for index in batches)
        loss = torch.zeros((), device=self.optimiser.device)
        for number, index in enumerate(batches, start):
            share = self.ranks.share(index)
            if not share:
                continue
            generator = randomness_at(self.seed, now.epoch, number, self.ranks.rank)
            with self.optimiser.precision():
                part = task.loss(share, generator).float() * (task.weight(share) / total)
            self.optimiser.gather(part)
            loss = loss + part.detach()
        self.optimiser.fill()
        loss = self.ranks.add_up(self.optimiser.parameters, loss)
        share_done = (start + len(batches) / 2) / len(self.batches)
        norm = self.optimiser.apply((now.epoch + share_done) / self.settings.epochs)
        if self.average:
            self.average.follow(task.module)
        now.batch, now.update = start + len(batches), now.update + 1
        examples = [example for index in batches for example in index]
        rate = self.optimiser.rate
        return Taken(
            epoch=now.epoch,
            batch=now.batch,
            update=now.update,
            examples=examples,
            rate=rate,
            loss=loss,
            norm=norm,
        )

    def _tell(self) -> None:
        """Put what was done on the curve, and show it."""
        losses, now = self.curve.read(), self.standing
        if not losses:
            return
        for loss in losses:
            now.losses, now.count = now.losses + loss, now.count + 1
        moment = Moment(
            epoch=now.epoch,
            epochs=self.settings.epochs,
            batch=now.batch,
            batches=len(self.batches),
            loss=losses[-1],
            best=None if now.best_epoch < 0 else now.best_score,
        )
        self.show(moment)

    def _close_epoch(self) -> None:
        """Judge, keep the best, decide whether to go on, save."""
        now, settings = self.standing, self.settings
        record: dict[str, float] = {"epoch": now.epoch, "loss": now.losses / now.count}
        last = now.epoch + 1 == settings.epochs
        if last or (now.epoch + 1) % settings.judge_every == 0:
            record |= self._judge()
        now.history.append(record)
        self.curve.write(now.update, record)
        title = " ".join(f"{key} {value:.4f}" for key, value in record.items() if key != "epoch")
        if self.ranks.first:
            log.info("%s epoch %d of %d: %s", self.place.name, now.epoch + 1, settings.epochs, title)
        now.finished = last or 0 < settings.patience <= now.waited
        now.epoch, now.batch, now.losses, now.count = now.epoch + 1, 0, 0.0, 0
        self._save()

    def _judge(self) -> dict[str, float]:
        now, figures = self.standing, dict[str, float]()
        self.ranks.even_out(self.task.module)
        with averaged(self.task.module, self.average):
            if self.ranks.first:
                self.task.module.eval()
                randomness_at(self.seed, now.epoch, "judge")
                with torch.no_grad():
                    figures = {key: float(value) for key, value in self.task.judge(now.epoch).items()}
            figures = self.ranks.tell(figures)
            score = -math.inf if math.isnan(figures["score"]) else figures["score"]
            now.waited += 1
            if now.best_epoch < 0 or score > now.best_score:
                now.best_epoch, now.best_score, now.waited = now.epoch, score, 0
                self.best = copy_state(self.task.module)
        return figures

    def _save(self) -> None:
        self._tell()
        self.ranks.even_out(self.task.module)
        if self.curve.history is None:
            return
        state: dict[str, Any] = {"facts": dict(self.facts), "standing": asdict(self.standing), "best": self.best}
        state["history"] = self.curve.history.keep()
        if not self.standing.finished:
            state["module"] = self.task.module.state_dict()
            state["average"] = self.average.state if self.average else None
            state["optimiser"] = self.optimiser.state_dict()
        write_state(self._file("state"), state)
