"""Burned-in text: how much of rendered text is masked, how much is masked in images as they came, and how fast.

`python -m tests.benchmarks.burned_in` prints it. Needs the folder that NIGHTREAD_TEST_DATA names (default
`../shared`): the corpus' radiographs at their own size and the val views of `iuxray`. `--write FOLDER` keeps
pictures of what was missed and of what was masked as it came, for a person to look at.
"""

import io
import json
import os
import statistics
import time
import zipfile
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.burned_in import WIDEST_VIEW, mask_text
from pipeline.conversion import convert
from pipeline.handling import Handling
from pipeline.study import Converted, Pixels, Preprocessing

DATA = Path(os.environ.get("NIGHTREAD_TEST_DATA", Path(__file__).parents[3] / "shared"))
DEJAVU = sorted(Path("/usr/share/fonts/truetype/dejavu").glob("*.ttf"))
HERSHEY = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)
SIZES = (12, 16, 20, 28, 40, 60)  # pixels of the font at the image's own size
COLOURS = {"white": 255, "black": 0, "grey": 128}
LEAST_CONTRAST = 64  # to the grey beneath; other text would not be read either
WORDS = ("DOE JANE", "Smith, John", "MUELLER^ANNA", "O'Brien P.", "NGUYEN T H", "van der Berg", "Garcia-Lopez")
READABLE = 5  # pixels of a capital letter's height
HIDDEN = 0.95  # of a text's pixels


@dataclass(frozen=True, kw_only=True)
class Host:
    """An image to write on."""

    name: str
    pixels: Pixels


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One text on one image."""

    size: int
    colour: str
    font: str
    hidden: float  # share of the text's pixels that were masked
    is_readable: bool  # in the view, unmasked
    name: str


def corpus_hosts() -> Iterator[Host]:
    """Each different radiograph of the corpus, as displayed."""
    seen = set()
    for path in sorted((DATA / "dicom").rglob("*")):
        if not path.is_file() or path.suffix in (".json", ".md"):
            continue
        content = path.read_bytes()
        first = _converted(content, 32, 32)
        if first is None or not first.header.rows or not first.header.columns:
            continue
        key = (first.header.rows, first.header.columns, first.header.sop_class_uid)
        if key in seen or min(key[:2]) < 100:  # the WG04 files: the same image in each syntax
            continue
        seen.add(key)
        whole = _converted(content, first.header.rows, first.header.columns)
        assert whole is not None
        yield Host(name=path.stem, pixels=whole.view.pixels)


def _converted(content: bytes, rows: int, columns: int) -> Converted | None:
    wanted = Preprocessing(height=rows, width=columns, fit="squash")
    result = convert(
        io.BytesIO(content), size=len(content), preprocessing=wanted, handling=Handling(masks_text=False)
    )
    return result if isinstance(result, Converted) else None


def val_hosts() -> Iterator[Host]:
    """The val views, as they are in the collection."""
    studies = json.loads((DATA / "iuxray" / "studies.json").read_text(encoding="utf-8"))
    wanted = {image["file"] for study in studies if study["split"] == "val" for image in study["images"]}
    with zipfile.ZipFile(DATA / "iuxray" / "images.zip") as archive:
        for name in sorted(archive.namelist()):
            if Path(name).name in wanted:
                image = Image.open(io.BytesIO(archive.read(name))).convert("L")
                yield Host(name=Path(name).name, pixels=np.asarray(image))


def write_text(pixels: Pixels, rng: np.random.Generator, size: int) -> tuple[Pixels, NDArray[np.bool_], str, str]:
    """The image with a text near a border; where its pixels are; its colour, "" if none fits; its font."""
    day = f"{rng.integers(1920, 2020)}-{rng.integers(10, 13)}-{rng.integers(10, 29)}"
    name = str(rng.choice(WORDS))
    text = str(rng.choice([f"{name} {day}", name, f"ID {rng.integers(10**5, 10**9)}", day]))
    ink, font = _ink(text, rng, size)
    rows, columns = pixels.shape
    ink = ink[: rows - 2, : columns - 2]
    height, width = ink.shape
    depth_y, depth_x = max(1, round(0.12 * rows) - height), max(1, round(0.12 * columns))
    top = int(rng.integers(1, depth_y + 1))
    top = min(top if rng.random() < 0.5 else rows - height - top, rows - height)
    left = int(rng.integers(0, max(1, columns - width)))
    if rng.random() < 0.4:  # at the side instead
        top = int(rng.integers(0, max(1, rows - height)))
        left = int(rng.integers(0, depth_x))
        left = max(0, left if rng.random() < 0.5 else columns - width - left)
    patch = pixels[top : top + height, left : left + width].astype(np.float64)
    fitting = [name for name, grey in COLOURS.items() if np.percentile(np.abs(patch - grey), 10) >= LEAST_CONTRAST]
    if not fitting:
        return pixels, np.zeros(pixels.shape, np.bool_), "", font
    colour = str(rng.choice(fitting))
    written = pixels.copy()
    alpha = ink / 255
    written[top : top + height, left : left + width] = np.rint(patch * (1 - alpha) + COLOURS[colour] * alpha)
    truth = np.zeros(pixels.shape, np.bool_)
    truth[top : top + height, left : left + width] = ink > 127
    return written, truth, colour, font


def _ink(text: str, rng: np.random.Generator, size: int) -> tuple[Pixels, str]:
    """The text alone, 255 where it covers, cut to its extent."""
    kind = rng.integers(0, 3 if DEJAVU else 2)
    canvas = np.zeros((2 * size + 8, 40 * size), np.uint8)
    if kind == 0:
        cv2.putText(canvas, text, (4, size + 4), int(rng.choice(HERSHEY)), size / 30, 255, max(1, size // 16), 16)
        name = "Hershey"
    else:
        face = ImageFont.load_default(size)
        if kind == 2:
            face = ImageFont.truetype(str(rng.choice([str(path) for path in DEJAVU])), size)
        image = Image.fromarray(canvas)
        ImageDraw.Draw(image).text((4, 2), text, fill=255, font=face)
        canvas, name = np.asarray(image), "DejaVu" if kind == 2 else "Pillow's own"
    y, x = np.nonzero(canvas)
    return canvas[y.min() : y.max() + 1, x.min() : x.max() + 1], name


def recall(hosts: Sequence[Host], *, each: int, view: int, folder: Path | None) -> list[Trial]:
    """`each` texts of every size on each image, masked for views of `view` pixels."""
    trials = []
    for number, host in enumerate(hosts):
        rng = np.random.default_rng(number)
        for size in SIZES * each:
            if size > 0.08 * min(host.pixels.shape):
                continue
            written, truth, colour, font = write_text(host.pixels, rng, size)
            if not colour or not truth.any():
                continue
            masked, _ = mask_text(written, view)
            hidden = float((masked != written)[truth].mean())
            capital = 0.7 * size * view / max(host.pixels.shape)
            trials.append(
                Trial(
                    size=size,
                    colour=colour,
                    font=font,
                    hidden=hidden,
                    is_readable=capital >= READABLE,
                    name=host.name,
                )
            )
            if folder and hidden < HIDDEN:
                _keep(folder / f"missed-{number}-{len(trials)}-{size}-{colour}.png", written, masked)
    return trials


def false_masks(hosts: Sequence[Host], *, view: int, folder: Path | None) -> list[float]:
    """The masked share of each image as it came."""
    shares = []
    for host in hosts:
        masked, count = mask_text(host.pixels, view)
        shares.append(float((masked != host.pixels).mean()))
        if count and folder:
            _keep(folder / f"masked-{host.name[:40]}.png", host.pixels, masked)
    return shares


def _keep(path: Path, before: Pixels, after: Pixels) -> None:
    Image.fromarray(np.hstack([before, after])).save(path)


def _enlarged(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.resize(pixels, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), np.uint8)


def _print_recall(name: str, trials: Sequence[Trial], view: int) -> None:
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        for key in ("all", f"{trial.size} px", trial.colour, trial.font):
            groups[key].append(trial)
        if trial.is_readable:
            groups[f"readable in a view of {view}"].append(trial)
    print(f"\n{name}: texts, share with 95 % of their pixels masked, mean share of pixels masked")
    for key, group in groups.items():
        whole = statistics.mean(trial.hidden >= HIDDEN for trial in group)
        print(f"  {key:28} {len(group):5}  {whole:6.1%}  {statistics.mean(t.hidden for t in group):6.1%}")


def _print_false(name: str, shares: Sequence[float]) -> None:
    changed = sum(share > 0 for share in shares)
    mean, middle = statistics.mean(shares), statistics.median(shares)
    print(f"{name}: {len(shares)} images, {changed} changed, masked share median {middle:.3%}, mean {mean:.3%}")


def _milliseconds(pixels: Pixels, view: int) -> float:
    cv2.setNumThreads(1)
    times = []
    for _ in range(15):
        start = time.process_time()
        mask_text(pixels, view)
        times.append(time.process_time() - start)
    return 1000 * statistics.median(times)


def main() -> None:
    """Measure and print."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="folder for pictures")
    parser.add_argument("--each", type=int, default=4, help="texts of each size on each image")
    parser.add_argument("--view", type=int, default=WIDEST_VIEW, help="side of the views that are made")
    options = parser.parse_args()
    folder: Path | None = options.write
    view: int = options.view
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    corpus, val = list(corpus_hosts()), list(val_hosts())
    enlarged = [Host(name=host.name, pixels=_enlarged(host.pixels)) for host in val[::20]]
    _print_recall("corpus", recall(corpus, each=options.each, view=view, folder=folder), view)
    trials = recall(enlarged, each=max(1, options.each // 2), view=view, folder=folder)
    _print_recall("val views, 4 times enlarged", trials, view)
    print()
    _print_false("val views", false_masks(val, view=view, folder=folder))
    _print_false("corpus", false_masks(corpus, view=view, folder=folder))
    for host in corpus:
        if host.pixels.size > 2 << 20:
            rows, columns = host.pixels.shape
            print(f"{columns} × {rows}: {_milliseconds(host.pixels, view):.1f} ms of CPU")


if __name__ == "__main__":
    main()
