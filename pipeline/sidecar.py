"""A sidecar: a small JSON object beside images, in which an archive tells what its information system knows.

`background.json`, or `<anything>.background.json` where studies share a folder:

    {"StudyInstanceUID": "1.2.3", "indication": "cough, fever", "age": 63, "sex": "F"}

The UID is a must, the others may be missing or null; `age` is in years, `sex` is DICOM's M, F or O. Reading is
strict, because nobody looks at what was left out silently. No reason quotes a sidecar: all of it is patient data.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.background import SEXES, clean, is_age
from pipeline.errors import BadObject
from pipeline.source import Source
from pipeline.study import Background

NAME = "background.json"
SIZE_LIMIT = 64 << 10  # bytes
KEYS = ("StudyInstanceUID", "indication", "age", "sex")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sidecar:
    """What it tells, and of which study."""

    study_instance_uid: str
    background: Background


def is_sidecar(key: str) -> bool:
    """Whether an object of this key is one, by its name."""
    name = key.rpartition("/")[2]
    return name == NAME or name.endswith(f".{NAME}")


def read_sidecar(stream: BinaryIO, *, size: int) -> Sidecar:
    """Read and check one.

    Raises:
        BadObject: naming everything that is wrong with it.
    """
    raw = _parse(Source(stream, size).peek(SIZE_LIMIT + 1))
    problems = _problems(raw)
    if problems:
        raise BadObject(f"the sidecar {NAME} is wrong: {'; '.join(problems)}")
    return Sidecar(
        study_instance_uid=raw["StudyInstanceUID"],
        background=Background(
            indication=clean(raw.get("indication") or ""),
            age=None if raw.get("age") is None else float(raw["age"]),
            sex=raw.get("sex") or "",
        ),
    )


def _parse(content: bytes) -> Any:
    if len(content) > SIZE_LIMIT:
        raise BadObject(f"the sidecar {NAME} is larger than {SIZE_LIMIT >> 10} KiB")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # their texts quote the content
        raise BadObject(f"the sidecar {NAME} is no JSON in UTF-8") from None


def _problems(raw: Any) -> list[str]:
    if not isinstance(raw, dict):
        return ["it must be one JSON object"]
    uid, indication, age, sex = (raw.get(key) for key in KEYS)
    wrong = {
        f"it may have the keys {', '.join(KEYS)} only": bool(raw.keys() - set(KEYS)),
        "StudyInstanceUID must be a DICOM UID": not _is_identifier(uid),
        "indication must be text": not isinstance(indication, str | None),
        "age must be a number of years from 0 to 120": age is not None and not _is_age(age),
        f"sex must be one of {', '.join(SEXES)}": sex is not None and sex not in (*SEXES, ""),
    }
    return [problem for problem, is_so in wrong.items() if is_so]


def _is_identifier(value: Any) -> bool:
    """As in headers: de-identified archives hold any short digest there."""
    return isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z._-]{1,64}", value) is not None


def _is_age(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and is_age(value)
