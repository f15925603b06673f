"""What every reader gives: examples, their images, and what was odd or had to be decided on the way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.examples import Example
from training.problem_list import Problem


class Images(Protocol):
    """The image files of a data set. Calls block on a disk."""

    def __contains__(self, file: object) -> bool:
        """Whether there is such a file."""

    def read(self, file: str) -> bytes:
        """Return the file as it is stored; KeyError where there is none, OSError where it cannot be read."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A folder of studies with reports, whatever its form was."""

    form: str
    examples: tuple[Example, ...]  # in the source's order
    images: Images
    notes: tuple[str, ...] = ()  # what a model card must say of these data
    problems: tuple[Problem, ...] = ()  # of the records; those with one that stops are not among the examples


class Reader(Protocol):
    """One form in which data come."""

    form: str  # as a configuration names it
    looked_for: str  # what such a folder holds, for a person

    def recognises(self, folder: Path) -> bool:
        """Whether a folder has this form; looks at names alone."""

    def read(self, folder: Path) -> DataSet:
        """Read everything but the images.

        Raises:
            UsageError: The folder as a whole cannot be read; what is wrong with single records is a problem.
        """
