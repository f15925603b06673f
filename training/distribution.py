"""The processes that train one model together, started by torchrun; alone, everything here costs nothing.

A batch is split over the ranks, each works out the gradient of its share, and the sum is the batch's gradient.
Assumes that all ranks read the same files and draw the same batches. Batch normalisation sees a rank's own share.
Knows no model and no optimiser.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")
PATIENCE = timedelta(hours=6)  # the others wait while the first rank judges


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one judges, saves and tells."""
        return self.rank == 0

    def share(self, index: Sequence[int]) -> Sequence[int]:
        """This rank's part of a batch; may be empty."""
        return index[self.rank :: self.count]

    def add_up(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Sum gradients and loss over the ranks, in one message; every parameter has a gradient."""
        if self.count == 1:
            return loss
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), loss.to(gradients[0].dtype).view(1)])
        dist.all_reduce(flat)
        parts = torch.split(flat[:-1], [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return flat[-1]

    def even_out(self, module: nn.Module) -> None:
        """Give every rank the mean of the running statistics: each saw its own shares only."""
        for buffer in module.buffers() if self.count > 1 else ():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer.div_(self.count)

    def copy_first(self, module: nn.Module) -> None:
        """Give every rank the first one's weights."""
        for value in module.state_dict().values() if self.count > 1 else ():
            dist.broadcast(value, src=0)

    def tell(self, value: T) -> T:
        """The first rank's value, on every rank; the others wait for it."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


def present_ranks() -> Ranks:
    """The ranks that were joined; one alone where none were."""
    if not (dist.is_available() and dist.is_initialized()):
        return Ranks()
    return Ranks(rank=dist.get_rank(), count=dist.get_world_size())


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the other ranks if torchrun started us, and leave them at the end."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield Ranks()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(dist.get_node_local_rank())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield present_ranks()
    finally:
        dist.destroy_process_group()
