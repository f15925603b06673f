"""The demo archive: a folder that looks like a hospital's bucket, with the surprises that real ones hold.

`write_demo` writes invented studies of phantoms (`folder/archive`, the bucket) and an image that arrives later
(`folder/late`, to be copied over the archive by its relative path). The same seed writes the same bytes on the
same library versions. What should become of every study is told by `DemoSummary`, so that a test can check a run.
The archive says nothing about how good a model is.
"""

from dataclasses import dataclass
from pathlib import Path

from worker.demo_studies import DemoStudy, invented_studies


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSummary:
    """What was written. `objects` counts the archive without what is late."""

    archive: Path
    late: Path
    studies: tuple[DemoStudy, ...]
    objects: int
    bytes: int

    def case(self, name: str) -> DemoStudy:
        """The study that shows this surprise."""
        return next(study for study in self.studies if study.case == name)


def write_demo(folder: Path, *, studies: int = 64, seed: int = 0, scale: float = 1.0) -> DemoSummary:
    """Write `studies` ordinary chest studies and one of each surprise; `scale` shrinks the images for tests."""
    archive, late = folder / "archive", folder / "late"
    written = []
    objects = size = 0
    for study, contents in invented_studies(studies, seed, scale):
        for item in contents:
            path = (late if item.late else archive) / item.key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(item.data)
            objects += not item.late
            size += len(item.data)
        written.append(study)
    return DemoSummary(archive=archive, late=late, studies=tuple(written), objects=objects, bytes=size)
