"""The loss curve of a run: read from the device now and then, checked, written.

Reading a loss makes a GPU wait, so several are read together; whoever saves a state reads first, so that no state
holds weights after a loss that is not finite. Knows no model.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import NightreadError
from training.history import History


class NotFinite(NightreadError):
    """The loss or its gradient is not finite; the message names a file with the examples of that batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """An update whose loss was not read yet."""

    epoch: int
    batch: int  # done in this epoch
    update: int  # done in the run
    examples: list[int]
    rate: float
    loss: Tensor
    norm: Tensor  # of the gradient


@dataclass(kw_only=True)
class Curve:
    """The curve of one run on one rank; `history` only where it is written."""

    place: Path  # the run's folder and name
    ids: Sequence[str]
    history: History | None
    _unread: list[Taken] = field(default_factory=list)

    def take(self, item: Taken) -> None:
        """Keep an update for the next reading."""
        self._unread.append(item)

    def read(self) -> list[float]:
        """The losses since the last reading, which are on the curve then; `NotFinite` if one is not finite."""
        if not self._unread:
            return []
        pairs = torch.stack([torch.stack((item.loss, item.norm)) for item in self._unread]).tolist()
        for item, (loss, norm) in zip(self._unread, pairs, strict=True):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                self._stop(item, loss)
            self.write(item.update, {"update": item.update, "epoch": item.epoch, "loss": loss, "rate": item.rate})
        self._unread.clear()
        if self.history:
            self.history.flush()
        return [loss for loss, _ in pairs]

    def write(self, update: int, record: Mapping[str, float]) -> None:
        """Put one line on the curve."""
        if self.history:
            self.history.add(update, record)

    def _stop(self, item: Taken, loss: float) -> None:
        path = self.place.with_name(f"{self.place.name}.stopped.json")
        if self.history:
            where = {"epoch": item.epoch, "batch": item.batch, "update": item.update, "loss": repr(loss)}
            names = [self.ids[example] for example in item.examples]
            path.write_text(json.dumps({**where, "examples": names}, indent=1) + "\n", encoding="utf-8")
        what = "gradient" if math.isfinite(loss) else "loss"
        raise NotFinite(
            f"{self.place.name} stopped: the {what} is not finite in epoch {item.epoch + 1}, batch {item.batch}; "
            f"its examples are named in {path}: mend them, or lower the learning rate, and start again"
        )
