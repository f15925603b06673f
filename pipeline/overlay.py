"""An overlay: where in a view the model looked for one sentence, and how that is drawn.

Legend: H×W pixels of the view. Warm colours over the grey view, of rising lightness, so that those who see no hues
can tell them apart, and on grey paper; what is cold shows the view as it is. An overlay tells what the model used,
not that it was right. Knows no model; torch-free.
"""

import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pipeline.study import Pixels

NOTICE = "draft, not a diagnosis: where the model looked"
Heat: TypeAlias = NDArray[np.float32]
Picture: TypeAlias = NDArray[np.uint8]  # [rows, columns, 3], red green blue

_COLOURS = np.array([[87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], dtype=np.float32)
_AT = (0.0, 0.4, 0.75, 1.0)  # the heat of each colour
_COLD, _OPAQUE = 0.15, 0.62  # the heat below which nothing is drawn; how much of the view the hottest place hides
_WIDTH, _MARGIN, _LINE, _FONT = 448, 8, 17, 13  # of a picture that stands alone, in pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlay:
    """Where the model looked for one sentence, in one view."""

    sentence: str
    label: str  # the findings it names; those the heat is of, where `method` is "concept"
    view: Literal["frontal", "lateral"]
    heat: Heat = field(repr=False)  # [H, W], 0 to 1; 1 is the hottest place of all views for this sentence
    method: Literal["concept", "words"]  # what spoke for the finding by the concept head, or for the very words


def paint(view: Pixels, heat: Heat) -> Picture:
    """A view [H, W] and its heat [H, W] -> the view with the heat over it [H, W, 3]."""
    hot = np.clip((heat - _COLD) / (1 - _COLD), 0, 1)
    colour = np.stack([np.interp(hot, _AT, channel) for channel in _COLOURS.T], axis=-1)
    cover = (_OPAQUE * hot**0.7)[..., np.newaxis]
    return np.asarray(np.rint(view[..., np.newaxis] * (1 - cover) + colour * cover), dtype=np.uint8)


def standalone(overlay: Overlay, view: Pixels, *, model: str) -> tuple[Image.Image, PngImagePlugin.PngInfo]:
    """A picture that says by itself what it is: the painted view over the notice, the finding and the sentence."""
    painted = Image.fromarray(paint(view, overlay.heat))
    height = round(_WIDTH * painted.height / painted.width)
    font = ImageFont.load_default(_FONT)
    told = (NOTICE, f"{overlay.view}: {overlay.label}", f"“{overlay.sentence}”", model)
    lines = [line for text in told for line in _wrapped(text, font)]
    picture = Image.new("RGB", (_WIDTH, height + _LINE * len(lines) + 2 * _MARGIN), "black")
    picture.paste(painted.resize((_WIDTH, height), Image.Resampling.BICUBIC))
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((_MARGIN, height + _MARGIN + _LINE * number), line, fill="white", font=font)
    information = PngImagePlugin.PngInfo()
    information.add_itxt("Comment", NOTICE)
    information.add_itxt("Software", model)
    return picture, information


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= _WIDTH - 2 * _MARGIN:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def file_name(number: int, overlay: Overlay) -> str:
    """A name that is safe in any folder: "01-frontal-cardiomegaly.png"."""
    label = re.sub(r"[^a-z0-9]+", "-", overlay.label.lower()).strip("-")[:60]
    return f"{number:02}-{overlay.view}-{label or 'finding'}.png"
