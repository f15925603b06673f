"""The door to a data set with reports: its examples by split, and its images as model-ready views.

What form the data have is told in `training.sources`. Records that cannot be read end in one UsageError that lists
them; images stay where they are until asked for. Knows no model.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.errors import UsageError
from pipeline.problems import NORMAL
from pipeline.resizing import resize
from pipeline.study import Background, Pixels, Preprocessing, Study
from training.examples import ABNORMAL, Example, concept_names, concept_targets
from training.problem_list import listed, stopping
from training.sources.dataset import Images
from training.sources.readers import open_data

__all__ = [  # what a user of a data set needs, in one place
    "ABNORMAL",
    "NORMAL",
    "Example",
    "ImageArchive",
    "concept_names",
    "concept_targets",
    "read_examples",
]


def read_examples(folder: Path, *splits: str, form: str = "") -> list[Example]:
    """The studies of the named splits (all if none is named) that have an image, in the source's order."""
    data = open_data(folder, form)
    wrong = listed(stopping(data.problems))
    if wrong:
        raise UsageError(f"the data in {str(folder)!r} cannot be used: {'; '.join(wrong)}")
    seen = [example for example in data.examples if example.frontal or example.lateral]
    return [example for example in seen if not splits or example.split in splits]


def load_view(images: Images, file: str, wanted: Preprocessing) -> Pixels:
    """One image of a set as a model-ready view."""
    image = Image.open(io.BytesIO(images.read(file))).convert("L")
    return resize(np.asarray(image), wanted)


class ImageArchive:
    """The images of a data set, decoded when asked for."""

    def __init__(self, folder: Path, wanted: Preprocessing, form: str = "") -> None:
        self._images = open_data(folder, form).images
        self._wanted = wanted

    def pixels(self, file: str) -> Pixels:
        """One image as a model-ready view."""
        return load_view(self._images, file, self._wanted)

    def study(self, example: Example, key: int) -> Study:
        """One study as a captioner takes it."""
        views = [None if file is None else self.pixels(file) for file in (example.frontal, example.lateral)]
        known = Background(indication=example.indication, age=example.age, sex=example.sex)
        return Study(key=key, frontal=views[0], lateral=views[1], background=known)
