"""The first frame out of encapsulated pixel data (PS3.5 A.4): an offset table, then fragments.

Only the first frame is looked for, and only as many fragments as it has: a claim of a million frames or a million
empty fragments costs nothing. Knows no compression beyond the marker that ends JPEG's codestreams.
"""

from collections.abc import Iterator
from itertools import islice
from struct import unpack_from

from pipeline.codestream import END, TAIL
from pipeline.errors import BadObject

ITEM, SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
FRAGMENT_BUDGET = 20_000
HEAD = 8  # bytes of an item's tag and length


def first_frame(data: memoryview, frames: int, *, limit: int, marked: bool) -> bytes:
    """The first frame's bytes, from an encapsulated Pixel Data value; BadObject when it has more than `limit`.

    `marked`: a frame's end can be told by its last bytes. Where not, one fragment is one frame (PS3.5 A.4.2).
    """
    parts = _first_fragments(data, frames, marked=marked)
    size = sum(map(len, parts))
    if size > limit:
        raise BadObject(f"the compressed frame has {size >> 20} MB, far more than its image needs")
    return b"".join(parts)


def _first_fragments(data: memoryview, frames: int, *, marked: bool) -> list[memoryview]:
    table, first = _offset_table(data)
    if frames == 1:
        return list(_fragments(data, first, len(data)))
    second = table[1] if len(table) > 1 else 0
    if 0 < second <= len(data) - first:
        return list(_fragments(data, first, first + second))
    return _until_end_marker(data, first) if marked else list(islice(_fragments(data, first, len(data)), 1))


def _until_end_marker(data: memoryview, first: int) -> list[memoryview]:
    """Without offsets: the fragments up to one that ends as a codestream does; the first one if none does."""
    parts: list[memoryview] = []
    for fragment in _fragments(data, first, len(data)):
        parts.append(fragment)
        if END in bytes(fragment[-TAIL:]):
            return parts
    return parts[:1]


def _offset_table(data: memoryview) -> tuple[tuple[int, ...], int]:
    if len(data) < HEAD:
        raise BadObject("encapsulated pixel data truncated: no offset table")
    tag, length = _item(data, 0)
    if tag != ITEM:
        raise BadObject("the pixel data should be encapsulated, but holds no items")
    count = min(length, 8, max(0, len(data) - 8)) // 4
    return unpack_from(f"<{count}L", data, 8), 8 + length


def _fragments(data: memoryview, start: int, end: int) -> Iterator[memoryview]:
    for _ in range(FRAGMENT_BUDGET):
        if start + HEAD > end:
            return
        tag, length = _item(data, start)
        if tag != ITEM:
            return
        # A last fragment may claim more than there is; whether that hurts, its codestream's end tells.
        yield data[start + HEAD : start + HEAD + length]
        start += HEAD + length
    raise BadObject(f"one frame in more than {FRAGMENT_BUDGET} fragments")


def _item(data: memoryview, at: int) -> tuple[int, int]:
    group, number, length = unpack_from("<HHL", data, at)
    return group << 16 | number, length
