"""Typed views of raw elements: text, whole numbers, decimals, the first item of a sequence.

Every value is coerced alone: garbage in one element is an absent value, never an exception and never a warning,
since a header's values are patient data and must not reach a log. Text is decoded by the declared character set
(PS3.3 C.12.1.1.2) where Python knows it, undecodable bytes become U+FFFD, control characters are dropped. Assumes
elements as `pipeline.elements` reads them.
"""

import math
import re
from datetime import UTC, date, datetime
from struct import unpack_from

from pydicom.charset import python_encoding

from pipeline.elements import UNDEFINED, Element, first_item

CHARACTER_SET = 0x00080005
TEXT_LIMIT = 256  # characters; the longest value that is no prose is a description of 64
PROSE_LIMIT = 4096  # bytes
LARGEST_INTEGER = 2**31 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BINARY = {
    "US": ("H", 2),
    "SS": ("h", 2),
    "UL": ("L", 4),
    "SL": ("l", 4),
    "FL": ("f", 4),
    "FD": ("d", 8),
}


class Attributes:
    """The elements that were asked for, by tag. An absent, empty or unreadable value is "", None or []."""

    def __init__(self, elements: dict[int, Element], *, big_endian: bool = False, encoding: str = "") -> None:
        """`encoding`: Python's name of the surrounding data set's, for an item that declares none."""
        self._elements = elements
        self._big_endian = big_endian
        declared = elements.get(CHARACTER_SET)
        self._encoding = _encoding(declared) if declared or not encoding else encoding

    def __contains__(self, tag: int) -> bool:
        return tag in self._elements

    def raw(self, tag: int) -> Element | None:
        """The element itself."""
        return self._elements.get(tag)

    def text(self, tag: int) -> str:
        """The value as one line, several values still parted by backslashes."""
        element = self._elements.get(tag)
        if element is None:
            return ""
        text = element.value[: 4 * TEXT_LIMIT].decode(self._encoding, "replace")
        return _CONTROL.sub("", text)[:TEXT_LIMIT].strip()

    def prose(self, tag: int) -> str:
        """The value as it stands, control characters included, as far as `PROSE_LIMIT`."""
        element = self._elements.get(tag)
        if element is None or element.length == UNDEFINED:
            return ""
        return element.value[:PROSE_LIMIT].decode(self._encoding, "replace")

    def day(self, tag: int) -> date | None:
        """A date; None when it is no date of the calendar."""
        digits = self.text(tag).replace(".", "")  # ACR-NEMA wrote 1997.04.24
        try:
            return datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC).date()
        except ValueError:
            return None

    def texts(self, tag: int) -> list[str]:
        """The values, upper-cased: for code strings."""
        text = self.text(tag).upper()
        return [part.strip() for part in text.split("\\")] if text else []

    def uid(self, tag: int) -> str:
        """A unique identifier of four parts or more; "" for what may be a date or a number gone astray."""
        text = self.text(tag)
        return text if re.fullmatch(r"(?=.{1,64}$)[0-9]+(\.[0-9]+){3,}", text) else ""

    def identifier(self, tag: int) -> str:
        """A unique identifier as archives really hold them: de-identified ones may be any short digest."""
        text = self.text(tag)
        return text if re.fullmatch(r"[0-9A-Za-z._-]{1,64}", text) else ""

    def integer(self, tag: int) -> int | None:
        """A whole number in binary or in digits; None when it is larger than a database's integers."""
        numbers = self.numbers(tag)
        return int(numbers[0]) if numbers and abs(numbers[0]) <= LARGEST_INTEGER else None

    def numbers(self, tag: int) -> list[float]:
        """All finite numbers of the value, in order; [] as soon as the first is none."""
        element = self._elements.get(tag)
        if element is None:
            return []
        if element.vr in ("DS", "IS") or (element.vr not in _BINARY and tag in DECIMAL_TAGS):
            return _decimals(element.value)
        code, width = _BINARY.get(element.vr, ("H", 2))  # implicit, unknown or mistaken: they are all US
        if len(element.value) < width:
            return []
        count = min(len(element.value) // width, 4096)
        numbers = unpack_from(f"{'>' if self._big_endian else '<'}{count}{code}", element.value)
        return [number for number in numbers if math.isfinite(number)]

    def item(self, tag: int, wanted: frozenset[int]) -> "Attributes | None":
        """The first item of a sequence; None when there is none."""
        element = self._elements.get(tag)
        if element is None:
            return None
        found = first_item(element, wanted, big_endian=self._big_endian)
        if found is None:
            return None
        return Attributes(found, big_endian=self._big_endian, encoding=self._encoding)

    def words(self, tag: int) -> list[int]:
        """The value as 16-bit words without sign, whatever its VR says."""
        element = self._elements.get(tag)
        if element is None:
            return []
        count = len(element.value) // 2
        return list(unpack_from(f"{'>' if self._big_endian else '<'}{count}H", element.value))

    def byte_order(self) -> str:
        """How words are stored: "<" or ">"."""
        return ">" if self._big_endian else "<"


# Needed where the encoding is implicit: these are DS or IS, all other numbers that we read are US or SS.
DECIMAL_TAGS = frozenset(
    {
        0x00181164,  # Imager Pixel Spacing
        0x00280008,  # Number of Frames
        0x00280030,  # Pixel Spacing
        0x00280034,  # Pixel Aspect Ratio
        0x00281050,  # Window Center
        0x00281051,  # Window Width
        0x00281052,  # Rescale Intercept
        0x00281053,  # Rescale Slope
    }
)


def _encoding(element: Element | None) -> str:
    terms = element.value.decode("ascii", "replace").split("\\") if element else []
    names = [python_encoding.get(term.strip(" \0")) for term in terms]
    known = [name for name in names if name not in (None, "iso8859")]
    # Without a declaration Latin-1 keeps every byte apart, so that two identifiers never fall together.
    encoding = known[-1] if known else None
    return encoding or "latin_1"


def _decimals(value: bytes) -> list[float]:
    numbers: list[float] = []
    for part in value[:4096].decode("latin_1").split("\\"):
        try:
            number = float(part.strip(" \0"))
        except ValueError:
            break
        if not math.isfinite(number):
            break
        numbers.append(number)
    return numbers
