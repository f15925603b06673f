"""Two views in, feature maps out: a torchvision backbone that knows which views a study lacks.

Legend: B studies, V views per study (0 frontal, 1 lateral), N present views, H×W pixels, C channels, h×w
positions. Assumes uint8 views of one size; normalisation happens here, so that a checkpoint and its input can
never disagree. Absent views cost nothing: only the present ones go through the backbone. Knows no words and no
concepts.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from pipeline.errors import UsageError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RESNET_PARTS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderConfig:
    """Which backbone, and how its weights expect their input."""

    backbone: str = "mobilenet_v2"  # any of torchvision.models.list_models() that ends in a feature map
    scaling: str = "signed"  # "signed": x/127.5 - 1; "imagenet": per-channel mean and deviation
    padding: str = (
        "tensorflow"  # of stride-2 convolutions; "tensorflow": right and bottom only; "torch": all sides
    )
    members: int = 1  # backbones that look side by side; their maps are joined


class RightBottomPadded(nn.Conv2d):
    """A stride-2 convolution that pads right and bottom only, as weights from TensorFlow expect."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is nn.Conv2d's
        """Pad [N, C, H, W] and convolve."""
        return super().forward(F.pad(input, (0, 1, 0, 1)))


def _pad_like_tensorflow(module: nn.Module) -> None:
    for child in module.modules():
        if type(child) is nn.Conv2d and child.stride == (2, 2) and child.padding == (1, 1):
            child.__class__ = RightBottomPadded  # keeps parameters and their names
            child.padding = (0, 0)


def _feature_layers(model: nn.Module, name: str) -> nn.Sequential:
    """The layers of a torchvision classifier that end in a feature map."""
    if name.startswith(("resnet", "resnext", "wide_resnet")):
        return nn.Sequential(*(getattr(model, part) for part in RESNET_PARTS))
    features = getattr(model, "features", None)
    if not isinstance(features, nn.Sequential):
        raise UsageError(f"backbone {name!r} has no feature map; use a torchvision CNN such as 'mobilenet_v2'")
    return nn.Sequential(*features, nn.ReLU()) if name.startswith("densenet") else features


def _matching(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    own = model.state_dict()
    return {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}


VIEWS_AT_ONCE = 2  # on a CPU: more fill its memory, 40 MB a view in the first layers, and hardly make it faster


def build_backbone(name: str, weights: Path | None = None) -> nn.Sequential:
    """A backbone by torchvision's name, initialised from a classifier's state dict if one is given."""
    try:
        model: nn.Module = torchvision.models.get_model(name, weights=None)
    except ValueError as error:
        raise UsageError(f"unknown backbone {name!r}; use one of torchvision.models.list_models()") from error
    if weights is not None:
        state = _matching(torch.load(weights, map_location="cpu", weights_only=True), model)
        missing = model.load_state_dict(state, strict=False).missing_keys
        if any(not key.startswith(("classifier", "fc")) for key in missing):
            raise UsageError(f"{weights} does not hold the weights of {name!r}: {missing[0]!r} is missing")
    return _feature_layers(model, name)


class ViewEncoder(nn.Module):
    """The backbone, applied to the views that are present; with members, several whose channels are joined."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: EncoderConfig, weights: Path | None = None) -> None:
        super().__init__()
        self.layers = build_backbone(config.backbone, weights)
        self.others = nn.ModuleList(build_backbone(config.backbone, weights) for _ in range(config.members - 1))
        if config.padding == "tensorflow":
            _pad_like_tensorflow(self)
        signed = config.scaling == "signed"
        mean, deviation = ((0.5,) * 3, (0.5,) * 3) if signed else (IMAGENET_MEAN, IMAGENET_STD)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1), persistent=False)
        self.channels = self._count_channels() * config.members

    def _count_channels(self) -> int:
        was_training = self.layers.training
        self.layers.eval()
        with torch.no_grad():
            channels = int(self.layers(torch.zeros(1, 3, 64, 64)).shape[1])
        self.layers.train(was_training)
        return channels

    def normalise(self, views: Tensor) -> Tensor:
        """[N, H, W] uint8 -> [N, 3, H, W] float, channels last."""
        grey = views.unsqueeze(1).to(torch.float32) / 255.0
        return ((grey - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)

    def see(self, views: Tensor) -> Tensor:
        """Every view by every member: [N, H, W] uint8 -> [N, C, h, w]."""
        pixels = self.normalise(views)
        maps = [layers(pixels) for layers in (self.layers, *self.others)]
        return maps[0] if len(maps) == 1 else torch.cat(maps, dim=1)

    def stem(self, views: Tensor, blocks: int) -> Tensor:
        """The first blocks only: [N, H, W] uint8 -> [N, C', h', w']."""
        result: Tensor = self.layers[:blocks](self.normalise(views))
        return result

    def tail(self, activations: Tensor, blocks: int) -> Tensor:
        """What follows the first blocks: [N, C', h', w'] -> [N, C, h, w]."""
        result: Tensor = self.layers[blocks:](activations)
        return result

    def forward(self, views: Tensor, mask: Tensor) -> Tensor:
        """[B, V, H, W] uint8 and [B, V] bool -> [B, V, C, h, w], zeros where a view is absent."""
        present = views[mask]
        if self.training or present.is_cuda or not len(present):
            return scatter_views(self.see(present), mask)
        parts = [self.see(part) for part in torch.split(present, VIEWS_AT_ONCE)]
        return scatter_views(torch.cat(parts), mask)


def scatter_views(present: Tensor, mask: Tensor) -> Tensor:
    """[N, C, h, w] of the present views -> [B, V, C, h, w], zeros where a view is absent."""
    maps = present.new_zeros((*mask.shape, *present.shape[1:]))
    maps[mask] = present
    return maps
