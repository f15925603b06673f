"""What a view shows, judged by its pixels: a frontal chest, a lateral chest, or neither; and its polarity.

A small convolutional network, evaluated with numpy so that a converting process needs no torch; its weights and
figures lie in `views/`, trained by `training.views`. Assumes a view as `conversion` makes it, squashed or
letterboxed. Knows adults and children's chests, upright and supine, and a little of what else an archive holds:
what it never saw gets an uncertain opinion more often than not, and not always. Knows no header: see
`beholding`.

Shapes: C channels in, D channels out, H height, W width, K kernel's side.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from pipeline.errors import CheckpointError
from pipeline.study import Pixels

SIDE = 32  # pixels; what the network sees
LEAST_SIDE = 64  # a smaller view is not judged
LEAST_DEVIATION = 4.0  # grey levels; a blank image shows nothing
STRIDE = 2
CONVOLUTIONS = ("first", "second", "third")
OUTPUTS = ("frontal", "lateral", "other", "inverted")
WANTED = (
    "name a folder that `nightread-train views --out FOLDER` wrote, "
    "or set NIGHTREAD_VIEW_CLASSIFIER to `shipped` or `off`"
)
SHIPPED = Path(__file__).with_name("views")  # the one that comes with the program

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """What the classifier sees: three probabilities that sum to 1, and one of its own."""

    frontal: float
    lateral: float
    other: float  # no chest as radiographers show it
    inverted: float  # air is white


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """Above which probability an opinion counts; chosen on val views, see the model card."""

    tells: float  # where the header is silent
    contradicts: float  # against the header
    inverted: float


class ViewClassifier:
    """The network with its weights."""

    def __init__(self, weights: Mapping[str, NDArray[Any]], thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self._weights = {name: np.asarray(values, np.float32) for name, values in weights.items()}

    def __call__(self, view: Pixels) -> Opinion | None:
        """The opinion of one view; None where it is too small or too even to have one."""
        small = reduced(view) if min(view.shape) >= LEAST_SIDE else None
        return None if small is None or small.std() < LEAST_DEVIATION else self.scores(small)

    def scores(self, small: Pixels) -> Opinion:
        """The opinion of a view that is of the network's own size."""
        seen = standardised(small)
        for name in CONVOLUTIONS:
            seen = self._convolved(seen, name)
        hidden = np.maximum(self._linear(seen.reshape(-1), "hidden"), 0)
        scores = self._linear(hidden, "output").astype(np.float64)
        odds = np.exp(scores[:3] - scores[:3].max())
        frontal, lateral, other = (float(share) for share in odds / odds.sum())
        return Opinion(frontal=frontal, lateral=lateral, other=other, inverted=float(1 / (1 + np.exp(-scores[3]))))

    def _convolved(self, seen: Floats, name: str) -> Floats:
        """[C, H, W] to [D, H/2, W/2]: one matrix product over unfolded windows, then no less than 0."""
        kernel = self._weights[f"{name}.weight"]  # [D, C, K, K]
        side = kernel.shape[-1]
        margin = side // 2
        channels, height, width = seen.shape
        padded = np.zeros(
            (channels, height + 2 * margin, width + 2 * margin), np.float32
        )  # np.pad costs as much as all the rest
        padded[:, margin:-margin, margin:-margin] = seen
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
        windows = windows[:, ::STRIDE, ::STRIDE]  # [C, H/2, W/2, K, K]
        height, width = windows.shape[1:3]
        columns = windows.transpose(0, 3, 4, 1, 2).reshape(-1, height * width)
        summed = kernel.reshape(len(kernel), -1) @ columns + self._weights[f"{name}.bias"][:, None]
        return np.asarray(np.maximum(summed, 0), np.float32).reshape(-1, height, width)

    def _linear(self, values: Floats, name: str) -> Floats:
        return np.asarray(self._weights[f"{name}.weight"] @ values + self._weights[f"{name}.bias"], np.float32)


def reduced(view: Pixels) -> Pixels:
    """A view at the network's size: the mean of what each pixel covers."""
    return np.asarray(cv2.resize(view, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def standardised(small: Pixels) -> Floats:
    """As the network wants it: [1, SIDE, SIDE], mean 0, deviation 1."""
    levels = small.astype(np.float32)
    return np.asarray((levels - levels.mean()) / max(float(levels.std()), LEAST_DEVIATION), np.float32)[None]


@cache
def load_classifier(folder: Path = SHIPPED) -> ViewClassifier:
    """Read a classifier as `nightread-train views --out FOLDER` writes it, once a process.

    Raises:
        CheckpointError: It is not one, not whole, or of other sizes than this release's network.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        content = (folder / "model.safetensors").read_bytes()
        classifier = ViewClassifier(load(content), Thresholds(**manifest["thresholds"]))
        classifier.scores(np.zeros((manifest["side"], manifest["side"]), np.uint8))
        whole = manifest["side"] == SIDE and manifest["sha256"] == hashlib.sha256(content).hexdigest()
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"{str(folder)!r} holds no view classifier ({type(error).__name__}: {error}); {WANTED}"
        ) from error
    if not whole:
        raise CheckpointError(f"the view classifier in {str(folder)!r} is damaged, or another release's; {WANTED}")
    return classifier
