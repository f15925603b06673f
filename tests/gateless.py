"""Decoding and display of any grey DICOM image, whatever its modality: the pipeline without its gate."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pipeline.attributes import Attributes
from pipeline.codecs import Frame, decode
from pipeline.conversion import ALL_TAGS
from pipeline.dicom import PIXEL_DATA, PIXEL_TAGS, open_data_set
from pipeline.elements import UNDEFINED
from pipeline.errors import NotForUs
from pipeline.layout import layout_of
from pipeline.pixels import Displayed, display
from pipeline.source import Source


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One file's first frame, decoded and displayed."""

    syntax: str
    frame: Frame
    image: Displayed


def show(path: Path) -> Shown:
    """Decode and display; BadObject or NotForUs as the pipeline raises them."""
    return show_bytes(path.read_bytes())


def show_bytes(content: bytes) -> Shown:
    """The same of an object in memory."""
    source = Source(BytesIO(content), len(content))
    opening = open_data_set(source)
    elements = opening.walker.walk(ALL_TAGS, until=PIXEL_TAGS)
    facts = Attributes(elements, big_endian=opening.walker.big_endian)
    layout = layout_of(facts)
    element = opening.walker.pending()
    if element is None or element.tag != PIXEL_DATA:
        raise NotForUs("no integer pixels")
    data = source.rest()
    encapsulated = element.length == UNDEFINED
    frame = decode(
        data if encapsulated else data[: element.length],
        layout,
        transfer_syntax=opening.transfer_syntax,
        encapsulated=encapsulated,
        vr=element.vr,
    )
    return Shown(syntax=opening.transfer_syntax, frame=frame, image=display(frame, facts))
