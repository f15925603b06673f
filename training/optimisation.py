"""One update of the weights: AdamW, cosine schedule with warm-up, clipping, mixed precision.

The rate is a function of how much of the run is done, so that epochs may differ in length and nothing of the
schedule needs saving. Assumes all parameters on one device. Knows no data.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def rate_factor(progress: float, warm_up: float) -> float:
    """What share of its full rate a parameter learns with, when `progress` (0 to 1) of the run is done."""
    if progress < warm_up:
        return max(progress / warm_up, 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / max(1 - warm_up, 1e-9)))


def reduced_type(device: torch.device) -> torch.dtype:
    """What mixed precision computes in: bfloat16, or float16 on a GPU without it."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


class Optimiser:
    """Gathers gradients and applies them."""

    def __init__(
        self, groups: Sequence[dict[str, Any]], *, weight_decay: float, warm_up: float, clip: float, mixed: bool
    ) -> None:
        self.adamw = torch.optim.AdamW(groups, weight_decay=weight_decay)
        self.parameters: list[nn.Parameter] = [p for group in self.adamw.param_groups for p in group["params"]]
        self.device = self.parameters[0].device
        self._rates = [group["lr"] for group in self.adamw.param_groups]
        self._warm_up, self._clip, self._mixed = warm_up, clip, mixed
        self._type = reduced_type(self.device)
        scaled = mixed and self._type is torch.float16
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)

    def precision(self) -> torch.autocast:
        """The context in which a loss is computed."""
        return torch.autocast(self.device.type, dtype=self._type, enabled=self._mixed)

    def gather(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those already there."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def fill(self) -> None:
        """Give a parameter that no loss touched a gradient of zero: with one rank or more, the same happens."""
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    def apply(self, progress: float) -> Tensor:
        """Update the weights, forget the gradients, return their norm (0 where loss scaling left a step out)."""
        for group, rate in zip(self.adamw.param_groups, self._rates, strict=True):
            group["lr"] = rate * rate_factor(progress, self._warm_up)
        self._scaler.unscale_(self.adamw)
        norm = nn.utils.clip_grad_norm_(self.parameters, self._clip)
        self._scaler.step(self.adamw)
        self._scaler.update()
        self.adamw.zero_grad(set_to_none=True)
        return norm.nan_to_num(0, 0, 0) if self._scaler.is_enabled() else norm

    @property
    def rate(self) -> float:
        """The first group's learning rate in the last update."""
        return float(self.adamw.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on."""
        return {"adamw": self.adamw.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.adamw.load_state_dict(state["adamw"])
        self._scaler.load_state_dict(state["scaler"])
