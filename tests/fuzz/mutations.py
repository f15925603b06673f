"""Changes that hurt: blind ones of bytes and chunks, and ones that know where elements and codestream markers are.

`mutate(seed, ...)` gives the same bytes for the same number, always: a number that found something is a test.
"""

import random
import struct
from collections.abc import Callable, Sequence

from tests.fuzz.inputs import CANARY

NAMES = tuple(b"AE AS CS DA DS FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT".split())
LONG = {b"OB", b"OW", b"SQ", b"UN", b"UT"}
LENGTHS = (0, 1, 2, 7, 0xFF, 0x7FFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)
NUMBERS = (0, 1, 2, 7, 8, 15, 16, 17, 255, 256, 32767, 32768, 65535)
WORDS = (b"1e300", b"-1", b"nan", b"99999999999999999999", b"\\\\\\", b"\xff\xfe\0", b"'; DROP TABLE object;--")
MARKERS = bytes.fromhex("c0 c1 c3 c4 d8 d9 da db dd e0 f7 f8 4f 51 52 5c 90 93")
MOST_REPEATS = 3000
LARGEST = 4 << 20  # bytes; what grows beyond is cut

Mutation = Callable[[random.Random, bytearray], None]
Place = tuple[int, int, int]  # offset of an element, of its value, and of its end


def mutate(number: int, seeds: Sequence[bytes]) -> bytes:
    """The input of that number."""
    rng = random.Random(number)
    content = bytearray(rng.choice(seeds))
    if rng.random() < 0.1:
        _splice(rng, content, rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        if content:
            rng.choice(MUTATIONS)(rng, content)
    return bytes(content[:LARGEST])


def _splice(rng: random.Random, content: bytearray, other: bytes) -> None:
    """The beginning of one file, the end of another."""
    if content and other:
        content[rng.randrange(len(content)) :] = other[rng.randrange(len(other)) :]


def _flip_bits(rng: random.Random, content: bytearray) -> None:
    for _ in range(rng.choice((1, 4, 16, 64))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _corrupt_run(rng: random.Random, content: bytearray) -> None:
    """64 bytes in the middle of it."""
    at = rng.randrange(len(content))
    content[at : at + 64] = rng.randbytes(min(64, len(content) - at))


def _truncate(rng: random.Random, content: bytearray) -> None:
    del content[rng.randrange(len(content)) :]


def _remove(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(len(content))
    del content[at : at + rng.choice((1, 2, 8, 64, 1024))]


def _insert(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(len(content) + 1)
    content[at:at] = rng.choice((b"\0", b"\xff")) * rng.choice((1, 2, 8, 4096)) + rng.randbytes(rng.randrange(16))


def _repeat(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(len(content))
    chunk = bytes(content[at : at + rng.choice((1, 8, 64, 512))])
    content[at:at] = chunk * min(rng.choice((1, 10, MOST_REPEATS)), LARGEST // max(1, len(chunk)))


def places(content: bytes | bytearray) -> list[Place]:
    """The elements of an explicit little-endian data set, one level deep; [] where it has no such beginning."""
    at = 132 if content[128:132] == b"DICM" else 0
    found: list[Place] = []
    while at + 12 <= len(content) and len(found) < 400:
        vr = bytes(content[at + 4 : at + 6])
        if vr not in NAMES:
            return found
        long = vr in LONG
        (length,) = struct.unpack_from("<L" if long else "<H", content, at + 8 if long else at + 6)
        value = at + (12 if long else 8)
        if length == 0xFFFFFFFF or value + length > len(content):
            return [*found, (at, value, len(content))]
        found.append((at, value, value + length))
        at = value + length
    return found


def _on_element(change: Callable[[random.Random, bytearray, Place], None]) -> Mutation:
    def mutation(rng: random.Random, content: bytearray) -> None:
        found = places(content)
        if found:
            change(rng, content, rng.choice(found))

    return mutation


def _set_length(rng: random.Random, content: bytearray, place: Place) -> None:
    at, value, _ = place
    width = 4 if value - at == 12 else 2
    content[value - width : value] = (rng.choice(LENGTHS) & (1 << 8 * width) - 1).to_bytes(width, "little")


def _set_value(rng: random.Random, content: bytearray, place: Place) -> None:
    _, value, end = place
    words = [CANARY.encode() * rng.choice((1, 1, 100)), *WORDS, struct.pack("<H", rng.choice(NUMBERS))]
    new = rng.choice(words)[: max(2, end - value)].ljust(min(end - value, 64), b" ")
    content[value : value + len(new)] = new


def _swap_tag(rng: random.Random, content: bytearray, place: Place) -> None:
    other = rng.choice(places(content))[0]
    content[place[0] : place[0] + 4] = content[other : other + 4]


def _change_vr(rng: random.Random, content: bytearray, place: Place) -> None:
    content[place[0] + 4 : place[0] + 6] = rng.choice(NAMES)


def _drop_element(rng: random.Random, content: bytearray, place: Place) -> None:
    del content[place[0] : place[2]]


def _repeat_element(rng: random.Random, content: bytearray, place: Place) -> None:
    element = bytes(content[place[0] : place[2]])
    content[place[0] : place[0]] = element * min(rng.choice((1, 50, MOST_REPEATS)), LARGEST // len(element))


def _nest(rng: random.Random, content: bytearray, place: Place) -> None:
    """Sequences in sequences, closed or not."""
    opened = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    depth = rng.choice((1, 300, MOST_REPEATS))
    content[place[0] : place[0]] = opened * depth + closed * rng.choice((depth, depth - 1, 0))


def _claim_size(rng: random.Random, content: bytearray) -> None:
    """Rows, Columns, frames and bits of the header; half of the time the codestream claims the same."""
    for tag in (b"\x28\0\x10\0US\2\0", b"\x28\0\x11\0US\2\0"):
        at = content.find(tag)
        size = struct.pack("<H", rng.choice((*NUMBERS, 8000)))
        if at >= 0:
            content[at + 8 : at + 10] = size
        if rng.random() < 0.5:
            _claim_in_frame(content, size, is_rows=tag[2] == 0x10)


def _claim_in_frame(content: bytearray, size: bytes, *, is_rows: bool) -> None:
    for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc3", b"\xff\xf7"):
        at = content.find(marker)
        if at >= 0:
            content[at + (5 if is_rows else 7) : at + (7 if is_rows else 9)] = size[::-1]
    at = content.find(b"\xff\x4f\xff\x51")
    if at >= 0:
        start = at + (12 if is_rows else 8)
        content[start : start + 4] = b"\0\0" + size[::-1]


def _in_codestream(rng: random.Random, content: bytearray) -> None:
    """A marker segment's length, a byte in it, or the marker itself."""
    start = content.find(b"\xff\xd8\xff")
    start = content.find(b"\xff\x4f\xff\x51") if start < 0 else start
    if start < 0:
        return
    found = [at for at in range(start, min(len(content) - 4, start + 4096)) if content[at] == 0xFF]
    at = rng.choice(found) if found else start
    match rng.randrange(4):
        case 0:
            content[at + 2 : at + 4] = rng.choice(NUMBERS).to_bytes(2, "big")
        case 1:
            content[at + 1 : at + 2] = bytes([rng.choice(MARKERS)])
        case 2:
            place = min(len(content) - 1, at + rng.randrange(2, 40))
            content[place] = rng.randrange(256)
        case _:
            del content[at : at + rng.choice((1, 2, 10, 40))]


def _drop_end(rng: random.Random, content: bytearray) -> None:
    """No end marker; the frame cut with or without its items' lengths mended."""
    at = content.rfind(b"\xff\xd9")
    if at >= 0:
        content[at : at + 2] = rng.choice((b"", b"\0\0", b"\xff\xd8"))


def _empty_items(rng: random.Random, content: bytearray) -> None:
    at = content.rfind(b"\xfe\xff\x00\xe0")
    if at >= 0:
        content[at:at] = b"\xfe\xff\x00\xe0\0\0\0\0" * rng.choice((1, 100, 50_000))


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip_bits, _corrupt_run, _truncate, _remove, _insert, _repeat),
    *map(_on_element, (_set_length, _set_value, _set_value, _swap_tag, _change_vr, _drop_element)),
    *map(_on_element, (_repeat_element, _nest)),
    *(_claim_size, _in_codestream, _in_codestream, _in_codestream, _drop_end, _empty_items),
)
