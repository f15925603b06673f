"""Comma-separated tables, plain or gzipped, as rows of text by column."""

import csv
import gzip
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

from pipeline.errors import UsageError


def find_table(folder: Path, pattern: str) -> Path | None:
    """The table whose name matches, the newest by name where there are several."""
    found = [path for suffix in ("", ".gz") for path in folder.glob(pattern + suffix)]
    return max(found, default=None)


def read_table(path: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Return the rows of a table that has these columns."""
    try:
        with _opened(path) as stream:
            rows = csv.DictReader(stream)
            missing = sorted(set(columns) - set(rows.fieldnames or ()))
            if missing:
                raise UsageError(f"{path} has no column {', '.join(missing)}; take the table as it was published")
            return [{key: value or "" for key, value in row.items() if key is not None} for row in rows]
    except (OSError, EOFError, csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}; copy it again from where it was published") from error


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8-sig", newline="")
