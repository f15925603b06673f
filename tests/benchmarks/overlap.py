"""What running both stages together costs, beside each alone: `python -m tests.benchmarks.overlap [STUDIES]`.

On a machine without a GPU both stages share the cores, so the best there is to reach is the sum of the two; with a
GPU it is the longer of the two. Each figure includes its own start: processes for converting, the model for
captioning. Prints seconds and the ratio; the last line is JSON.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from db.release import Patience
from tests.archives import shadow
from tests.dx import DxTags, enlarge, write_dx
from worker.benches import caption_bench
from worker.bootstrap import DEPTH, Site
from worker.captioning import CaptionThread
from worker.conversions import Conversions
from worker.night import local_run
from worker.pool import ConverterPool
from worker.settings import load_settings
from worker.steps import intake

TIMES = 4  # to 1024 x 1024, as a radiograph that was reduced for transport
OWNER = "run:bench"


def write_archive(folder: Path, studies: int) -> None:
    """Studies of two views, 12 bits in 16."""
    for index in range(studies):
        for view in ("PA", "LL"):
            tags = DxTags(study=str(index), name=view, view_position=view)
            seed = 2 * index + (view == "LL")
            write_dx(folder / f"{index:05}" / f"{view}.dcm", enlarge(shadow(seed), TIMES), tags)


def convert_alone(site: Site) -> float:
    """Seconds from an empty ledger to every study released."""
    began = time.monotonic()
    pool = ConverterPool(site.converter_spec, processes=site.settings.cores, depth=DEPTH)
    conversions = Conversions(site.ledger, pool, bucket=site.bucket.name, owner=OWNER, lease_seconds=900)
    intake(site.ledger, site.bucket, lambda _seen, _new: None)
    while conversions.advance(feed=True):
        pass
    conversions.close()
    site.ledger.release(Patience(quiet=0, longest=None))
    return time.monotonic() - began


def caption_alone(site: Site) -> float:
    """Seconds from released studies to reports, the views in the cache."""
    began = time.monotonic()
    bench = caption_bench(site, site.adopt_model(), OWNER)
    captions = CaptionThread(bench, limit=None, on_settled=lambda _bench, _outcomes: None)
    captions.start()
    captions.drain()
    captions.wait()
    captions.raise_error()
    return time.monotonic() - began


def end_to_end(site: Site) -> float:
    """Seconds of the whole night."""
    began = time.monotonic()
    with local_run(site, limit=None, quiet_seconds=0, on_progress=lambda _: None) as run:
        run.run()
    return time.monotonic() - began


def measure(folder: Path, studies: int) -> dict[str, float]:
    """The three figures on the same studies."""
    write_archive(folder / "archive", studies)
    apart, together = (
        Site(settings=load_settings({"home": folder / name, "source": str(folder / "archive")}))
        for name in ("apart", "together")
    )
    apart.load_captioner()  # torch's import and the page cache are nobody's cost
    convert, caption = convert_alone(apart), caption_alone(apart)
    both = end_to_end(together)
    return {
        "studies": studies,
        "convert_alone_s": round(convert, 2),
        "caption_alone_s": round(caption, 2),
        "end_to_end_s": round(both, 2),
        "studies_per_hour": round(3600 * studies / both),
        "ratio": round(both / (convert + caption), 3),
    }


def main() -> None:
    """Measure and print."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), studies)
    for name, value in figures.items():
        print(f"{name:<18} {value:>10}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
