"""DICOM's data elements (PS3.5 section 7), read forward and only as far as asked; others are stepped over.

Why not `pydicom.dcmread`: on a hostile header it costs a minute and a gigabyte (a million empty items), recurses
until it breaks, inflates without bound, needs a stream that seeks, and warns with the header's values, which are
patient data. Here nesting is a counter, work is bounded by `ELEMENT_BUDGET`, and values stay bytes. Where writers
lie (implicit elements in an explicit data set and the reverse) it reads as pydicom does; a test holds the two
together.

Assumes an uncompressed view of the data set. Knows no tag's meaning but those that delimit.
"""

from dataclasses import dataclass
from io import BytesIO
from struct import Struct

from pipeline.errors import BadObject
from pipeline.source import Source, Truncated

ELEMENT_BUDGET = 50_000  # the largest real header measured needed under 8,000
VALUE_LIMIT = 8 << 20  # bytes of a wanted value; look-up tables are the largest
BRIEF_LIMIT = 64 << 10  # bytes of a value that is wanted only where it is short
UNDEFINED = 0xFFFFFFFF
DELIMITERS = 0xFFFE  # the group of items and their ends; these never name a VR

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH"}
    | {b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_HEADS = {big: (Struct(">HH" if big else "<HH"), Struct(">L" if big else "<L")) for big in (False, True)}
_SHORT_LENGTHS = {big: Struct(">H" if big else "<H") for big in (False, True)}


@dataclass(frozen=True, slots=True)
class Element:
    """One data element: what the header said before the value, and the value's bytes."""

    tag: int
    vr: str  # "" where the encoding is implicit
    length: int  # bytes as stated; UNDEFINED where it is delimited
    value: bytes = b""


class Walker:
    """Reads the elements of one data set in the order they stand."""

    def __init__(self, source: Source, *, implicit: bool, big_endian: bool = False) -> None:
        self.big_endian = big_endian
        self._source = source
        self._implicit = implicit
        self._tag, self._long = _HEADS[big_endian]
        self._short = _SHORT_LENGTHS[big_endian]
        self._left = ELEMENT_BUDGET
        self._pending: Element | None = None
        self._start = 0

    def walk(
        self, wanted: frozenset[int], *, until: int, brief: frozenset[int] = frozenset()
    ) -> dict[int, Element]:
        """The wanted elements before the first tag >= `until`; `pending` is then that one, its value unread.

        `brief`: taken too where they are short; longer ones are passed as if nobody had asked.
        """
        found: dict[int, Element] = {}
        while (element := self.pending()) is not None and element.tag < until:
            self._pending = None
            if element.tag in wanted:
                found.setdefault(element.tag, self._with_value(element))
            elif element.tag in brief:
                self._keep_if_short(element, found)
            else:
                self._pass(element)
        return found

    def pending(self) -> Element | None:
        """The element whose value comes next; None at the clean end of the data set."""
        if self._pending is None and self._source.peek(1):
            self._start = self._source.position
            self._pending = self._head()
        return self._pending

    def put_back(self) -> None:
        """Leave the pending element unread, for a walker that reads it with another encoding."""
        if self._pending is not None:
            self._source.position = self._start
            self._pending = None

    def _head(self) -> Element:
        self._left -= 1
        if self._left < 0:
            raise BadObject(f"the header has more than {ELEMENT_BUDGET} elements")
        head = self._source.read(8)
        group, number = self._tag.unpack_from(head)
        tag = group << 16 | number
        vr = head[4:6]
        if group == DELIMITERS or self._implicit:
            return Element(tag, "", self._long.unpack_from(head, 4)[0])
        if vr in LONG_VRS:
            return Element(tag, vr.decode(), self._long.unpack(self._source.read(4))[0])
        if vr in SHORT_VRS or (vr.isalpha() and vr.isupper()):
            return Element(tag, vr.decode(), self._short.unpack_from(head, 6)[0])
        return Element(tag, "", self._long.unpack_from(head, 4)[0])

    def _with_value(self, element: Element) -> Element:
        if element.length == UNDEFINED:
            start = self._source.position
            self._pass(element)
            return Element(element.tag, element.vr, UNDEFINED, self._source.since(start))
        if element.length > VALUE_LIMIT:
            raise BadObject(f"element ({element.tag >> 16:04X},{element.tag & 0xFFFF:04X}) is too long")
        return Element(element.tag, element.vr, element.length, self._source.read(element.length))

    def _keep_if_short(self, element: Element, found: dict[int, Element]) -> None:
        start = self._source.position
        self._pass(element)
        if self._source.position - start <= BRIEF_LIMIT:
            value = self._source.since(start)
            found.setdefault(element.tag, Element(element.tag, element.vr, element.length, value))

    def _pass(self, element: Element) -> None:
        """Step over a value. Nesting is counted, not recursed into: depth costs nothing."""
        if element.length != UNDEFINED:
            self._source.skip(element.length)
            return
        depth = 1
        while depth:
            inner = self._head()
            if inner.tag in (ITEM_END, SEQUENCE_END):
                depth -= 1
            elif inner.length == UNDEFINED:
                depth += 1
            else:
                self._source.skip(inner.length)


def is_explicit(source: Source) -> bool:
    """Whether the data set that begins here names its VRs; what the elements do beats what the syntax says."""
    return source.peek(6)[4:6] in LONG_VRS | SHORT_VRS


def first_item(element: Element, wanted: frozenset[int], *, big_endian: bool) -> dict[int, Element] | None:
    """The wanted elements of a sequence's first item; None when it has no item or a damaged one."""
    source = Source(BytesIO(element.value), len(element.value))
    tag, long = _HEADS[big_endian]
    try:
        head = source.read(8)
        group, number = tag.unpack_from(head)
        length = long.unpack_from(head, 4)[0]
        if group << 16 | number != ITEM or length == 0:
            return None
        if length != UNDEFINED:
            content = source.read(length)
            source = Source(BytesIO(content), length)
        walker = Walker(source, implicit=not is_explicit(source), big_endian=big_endian)
        return walker.walk(wanted, until=ITEM)  # stops at an item's end, which sorts after ITEM
    except Truncated:
        return None
