"""Opens a folder of data, whatever its form: by the name a configuration gives, or by what the folder holds."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from pipeline.errors import UsageError
from training.examples import LABELER, TEXT, Example
from training.sources.dataset import DataSet, Reader
from training.sources.indiana import IndianaReader
from training.sources.mimic import MimicReader
from training.sources.openi import OpenIReader

READERS: tuple[Reader, ...] = (IndianaReader(), OpenIReader(), MimicReader())
FORMS = tuple(reader.form for reader in READERS)


@lru_cache(maxsize=4)
def open_data(folder: Path, form: str = "") -> DataSet:
    """Read a data set but for its images, once in a process: MIMIC-CXR's reports take minutes."""
    return reader_of(folder, form).read(folder)


def reader_of(folder: Path, form: str = "") -> Reader:
    """The reader for a folder; UsageError when none fits, or several do."""
    if form:
        found = [reader for reader in READERS if reader.form == form]
        if not found:
            raise UsageError(f"there is no form of data {form!r}; [data] form is one of {', '.join(FORMS)}")
        return found[0]
    found = [reader for reader in READERS if reader.recognises(folder)]
    if not found:
        known = "; ".join(f"{reader.looked_for} ({reader.form})" for reader in READERS)
        raise UsageError(f"there are no data in {str(folder)!r}; name a folder with one of: {known}")
    if len(found) > 1:
        names = ", ".join(reader.form for reader in found)
        raise UsageError(
            f"{str(folder)!r} holds data of several forms ({names}); say which by [data] form, or by --form"
        )
    return found[0]


def card_notes(data: DataSet) -> tuple[str, ...]:
    """What a model card must say of its data: who coded the problems, and what was guessed."""
    return (*_coding(data.examples), *data.notes)


def _coding(examples: Sequence[Example]) -> tuple[str, ...]:
    whole = len(examples)
    read = sum(example.coded_by == TEXT for example in examples)
    labelled = sum(example.coded_by == LABELER for example in examples)
    notes = []
    if read:
        notes.append(
            f"the problems of {read} of {whole} studies were coded by nobody: they are our own extraction from "
            "the reports' text, so figures against them flatter a model that writes like the reports"
        )
    if labelled:
        notes.append(f"the problems of {labelled} of {whole} studies are the CheXpert labeler's, not people's")
    return tuple(notes)
