"""Context aggregation: what each place means is told by the whole view and by its wider surroundings, in a chain.

Legend: B studies, V views, D width, g×g places per view, S slots. After the seed paper's third model, which takes
the chained context aggregation of Tang et al. (arXiv 2002.12041, section 3.2) for captions: a global flow (the
mean of the view) feeds a first context flow, which sees the places at half their resolution together with what the
global flow said, and feeds a second at full resolution; each is brought back to the places. Feature selection
weighs the channels of all flows by what they say together, then additive attention reads the result, as in the
attention model. Views aggregate apart; concepts and indication pass unchanged. Knows ids only, no words.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.attention import AttentionDecoder
from pipeline.models.memory import Memory
from pipeline.models.shape import VIEWS, Shape


class ContextFlow(nn.Module):
    """Places and the flow before -> the same places, told by surroundings `stride` places wide."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.layers = nn.Sequential(
            nn.Conv2d(2 * width, width, 1),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.Conv2d(width, width, 1),
            nn.GroupNorm(8, width),
            nn.GELU(),
        )

    def forward(self, places: Tensor, before: Tensor) -> Tensor:
        """[N, D, g, g] twice -> [N, D, g, g]."""
        joined = torch.cat([places, before], dim=1)
        wider = self.layers(F.avg_pool2d(joined, self.stride) if self.stride > 1 else joined)
        result: Tensor = F.interpolate(wider, size=places.shape[-2:], mode="bilinear", align_corners=False)
        return result


class ContextAggregation(nn.Module):
    """The global flow, the context flows in their chain, and the selection among all."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.overview = nn.Sequential(nn.Linear(width, width), nn.GELU())
        self.flows = nn.ModuleList(ContextFlow(width, stride) for stride in (2, 1))
        joined = (2 + len(self.flows)) * width
        self.select = nn.Sequential(nn.Linear(joined, width // 4), nn.GELU(), nn.Linear(width // 4, joined))
        self.join = nn.Linear(joined, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, places: Tensor) -> Tensor:
        """[N, D, g, g] -> [N, D, g, g]."""
        flow = self.overview(places.mean((-2, -1)))[..., None, None].expand_as(places)
        said = [places, flow]
        for layer in self.flows:
            flow = layer(places, flow)
            said.append(flow)
        joined = torch.cat(said, dim=1)
        chosen = joined * torch.sigmoid(self.select(joined.mean((-2, -1))))[..., None, None]
        added = self.join(chosen.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        result: Tensor = self.norm((places + added).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return result


class ContextAggregationDecoder(AttentionDecoder):
    """Additive attention over aggregated places."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.grid, self.use_image = shape.grid, shape.use_image
        if shape.use_image:
            self.aggregate = ContextAggregation(shape.width)

    def prepare(self, memory: Memory) -> Memory:
        """Aggregate the places, which are the slots after the first, and add the keys."""
        if not self.use_image:  # no places to aggregate
            return super().prepare(memory)
        slots, count = memory["slots"], VIEWS * self.grid**2
        places = slots[:, 1 : 1 + count].reshape(-1, self.grid, self.grid, slots.shape[-1]).permute(0, 3, 1, 2)
        told = self.aggregate(places).permute(0, 2, 3, 1).reshape(len(slots), count, -1)
        slots = torch.cat([slots[:, :1], told, slots[:, 1 + count :]], dim=1)
        return super().prepare({**memory, "slots": slots})
