"""The one place that orders the steps: an object's bytes become a view, or a reason why not.

Reads the header first; what the gate refuses is left at that, and costs one small read. Otherwise the rest is
read once and hashed on the way. Bad bytes never raise: whatever they provoke becomes `Refused`. What the stream
itself raises (`Unavailable`, `ObjectChanged`) is not the bytes' fault and passes through.

Assumes one object at a time and, for hostile ones, a process whose memory is limited by its owner.
"""

from dataclasses import replace
from typing import BinaryIO

from pipeline.attributes import Attributes
from pipeline.background import BACKGROUND_TAGS
from pipeline.beholding import beheld
from pipeline.codecs import decode
from pipeline.dicom import (
    AFTER_IDENTITY,
    BURNED_IN,
    IDENTITY_TAGS,
    PIXEL_DATA,
    PIXEL_TAGS,
    Opening,
    class_refusal,
    header_of,
    open_data_set,
    refusal,
)
from pipeline.elements import UNDEFINED
from pipeline.errors import BadObject, NotForUs, Unavailable
from pipeline.handling import AS_SHIPPED, Handling
from pipeline.layout import LAYOUT_TAGS, layout_of
from pipeline.pixels import RENDER_TAGS, render
from pipeline.rules import RULE_TAGS
from pipeline.source import Source
from pipeline.study import Conversion, Converted, Header, Preprocessing, Refused

ALL_TAGS = LAYOUT_TAGS | RENDER_TAGS | IDENTITY_TAGS | RULE_TAGS | {BURNED_IN}


def convert(
    stream: BinaryIO,
    *,
    size: int,
    preprocessing: Preprocessing,
    handling: Handling = AS_SHIPPED,
) -> Conversion:
    """Convert one object of `size` bytes."""
    work = _Work(Source(stream, size), preprocessing, handling)
    try:
        return work.run()
    except NotForUs as error:
        return Refused(failed=False, reason=str(error), header=work.header)
    except BadObject as error:
        return Refused(failed=True, reason=str(error), header=work.header)
    except (Unavailable, KeyboardInterrupt, SystemExit):
        raise
    except OSError as error:  # a plain file's; our own streams have named it already
        raise Unavailable(f"the object could not be read ({error.strerror}): check the disk") from error
    except MemoryError:
        return Refused(failed=True, reason="decoding needs more memory than there is", header=work.header)
    # The only wide net: decoders meet hostile bytes here, and native ones raise even outside Exception (a Rust
    # panic does). Its cost, a fault of our own counted against an object, shows as many objects with one reason.
    except BaseException as error:  # noqa: BLE001
        return Refused(failed=True, reason=f"cannot be decoded ({_where(error)})", header=work.header)


def _where(error: BaseException) -> str:
    """The kind of error and the decoder; never its text, which may quote the object."""
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


class _Work:
    """One conversion; keeps the header as far as it was read for whoever gives the reason."""

    def __init__(self, source: Source, preprocessing: Preprocessing, handling: Handling) -> None:
        self.header: Header | None = None
        self._source = source
        self._preprocessing = preprocessing
        self._handling = handling

    def run(self) -> Converted:
        opening = open_data_set(self._source)
        facts = self._read_header(opening)
        layout = layout_of(facts)
        element = opening.walker.pending()
        if element is None:
            raise BadObject("no pixel data: the object ends after its header")
        if element.tag != PIXEL_DATA:
            raise NotForUs("no integer pixels: the pixel data is of floating point")
        data = self._source.rest()
        if element.length != UNDEFINED:
            data = data[: element.length]
        frame = decode(
            data,
            layout,
            transfer_syntax=opening.transfer_syntax,
            encapsulated=element.length == UNDEFINED,
            vr=element.vr,
        )
        view = render(frame, facts, self._preprocessing, masks_text=self._handling.masks_text)
        assert self.header is not None
        if self._handling.classifier:
            self.header, view = beheld(self.header, view, self._handling.classifier)
        return Converted(header=self.header, view=view, sha256=self._source.sha256())

    def _read_header(self, opening: Opening) -> Attributes:
        """In two steps, so that another modality's object is refused before its longer half is fetched."""
        big = opening.walker.big_endian
        elements = opening.walker.walk(ALL_TAGS, until=AFTER_IDENTITY, brief=BACKGROUND_TAGS)
        self.header = header_of(Attributes(elements, big_endian=big), opening)
        _refuse(class_refusal(self.header))
        elements |= opening.walker.walk(ALL_TAGS, until=PIXEL_TAGS, brief=BACKGROUND_TAGS)
        facts = Attributes(elements, big_endian=big)
        self.header = header_of(facts, opening)
        _refuse(refusal(self.header, facts))
        if not self.header.study_instance_uid or not self.header.sop_instance_uid:
            raise BadObject("no usable Study or SOP Instance UID")
        standing, skipped = self._handling.rules.judged(facts, self.header.standing)
        self.header = replace(self.header, standing=standing)
        _refuse(skipped)
        return facts


def _refuse(reason: str | None) -> None:
    if reason is not None:
        raise NotForUs(reason)
