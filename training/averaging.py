"""The exponential moving average of a model's weights: usually better to judge and keep than the last ones.

Covers everything in the state dict that is a floating-point number, running statistics included; counters are
copied. The decay starts low, so that the first weights, which are noise, are soon forgotten.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


def copy_state(module: nn.Module) -> State:
    """The module's state, independent of what becomes of the module."""
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


class Average:
    """Follows a module's weights at a distance."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = copy_state(module)

    @torch.no_grad()
    def follow(self, module: nn.Module) -> None:
        """Take the module's weights in; call it after each update."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value, weight)
            else:
                self.state[key].copy_(value)


@contextmanager
def averaged(module: nn.Module, average: Average | None) -> Iterator[None]:
    """Within the block the module has the averaged weights; afterwards its own again."""
    if average is None:
        yield
        return
    own = copy_state(module)
    module.load_state_dict(average.state)
    try:
        yield
    finally:
        module.load_state_dict(own)
