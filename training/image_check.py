"""What is wrong with the images of a data set: missing, unreadable, of a strange size, the same on two sides.

Whether a file is there is asked of every image. All are decoded, or an even sample where there are more than one
wants to wait for; the sample is told. Two images are the same where their bytes are; a copy that was stored anew
is not found. Knows no model.
"""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

from PIL import Image

from training.problem_list import Problem
from training.sides import on_several
from training.sources.dataset import DataSet, Images

DECODED = 20_000  # images at most: a minute or two of one core
SMALLEST, LONGEST = 32, 4.0  # pixels of a side; one side over the other


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What an image turned out to be."""

    file: str
    sha256: str = ""
    wrong: str = ""
    width: int = SMALLEST
    height: int = SMALLEST


def image_problems(data: DataSet, sides: Mapping[str, str], *, decoded: int = DECODED) -> list[Problem]:
    """Everything that is wrong or odd with the images that the examples name."""
    splits: dict[str, set[str]] = defaultdict(set)  # a file may be named by studies of several
    problems: list[Problem] = []
    for example in data.examples:
        files = [file for file in (example.frontal, example.lateral) if file]
        if not files:
            kind = "these studies have no frontal and no lateral image: left out"
            problems.append(Problem(kind=kind, place=example.study, stops=False))
        for file in files:
            splits[file].add(example.split)
    there = [file for file in splits if file in data.images]
    missing = sorted(splits.keys() - set(there))
    kind = "these images are named but are not there; add them, or take their studies out"
    problems += [Problem(kind=kind, place=file) for file in missing]
    step = -(-len(there) // decoded) or 1
    if step > 1:
        kind = f"only every {step}th of {len(there):,} images was opened to see whether it is sound"
        problems.append(Problem(kind=kind, place="", stops=False))
    looks = _look_at_all(data.images, there[::step])
    return [*problems, *_unusable(looks), *_copies(looks, splits, sides)]


def _look_at_all(images: Images, files: Sequence[str]) -> list[_Look]:
    with ThreadPoolExecutor(max_workers=min(8, cpu_count() or 1)) as pool:  # Pillow and hashlib free the lock
        return list(pool.map(lambda file: _look_at(images, file), files))


def _look_at(images: Images, file: str) -> _Look:
    try:
        content = images.read(file)
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            width, height = image.size
    except (OSError, KeyError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return _Look(file=file, wrong=f"{type(error).__name__}: {error}")
    return _Look(file=file, sha256=hashlib.sha256(content).hexdigest(), width=width, height=height)


def _unusable(looks: Iterable[_Look]) -> Iterable[Problem]:
    for look in looks:
        place = f"{look.file} ({look.width} × {look.height})"
        if look.wrong:
            kind = "these images cannot be read; copy them again, or take their studies out"
            yield Problem(kind=kind, place=f"{look.file} ({look.wrong})")
        elif min(look.width, look.height) < SMALLEST:
            kind = f"these images are smaller than {SMALLEST} pixels; nothing can be seen in them"
            yield Problem(kind=kind, place=place)
        elif max(look.width, look.height) > LONGEST * min(look.width, look.height):
            kind = "these images are unlike a radiograph, far longer one way than the other"
            yield Problem(kind=kind, place=place, stops=False)


def _copies(looks: Iterable[_Look], splits: Mapping[str, set[str]], sides: Mapping[str, str]) -> Iterable[Problem]:
    files: dict[str, list[str]] = defaultdict(list)
    for look in looks:
        if look.sha256:
            files[look.sha256].append(look.file)
    named = ((sha256, split) for sha256, same in files.items() for file in same for split in splits[file])
    for sha256, there in on_several(named, sides).items():
        kind = "these images are the same in several splits; keep each in one"
        yield Problem(kind=kind, place=f"{' = '.join(files[sha256])} ({', '.join(there)})")
