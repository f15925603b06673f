"""A TOML document -> frozen dataclasses, with everything that is wrong in it told at once.

The dataclasses are the whole description: their fields' names, types and defaults; a range or a closed set of
values is part of a type (`Annotated[float, Within(0, 1)]`, `Literal[...]`). Knows no experiment.
"""

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from training.problem_list import Problem

NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}


@dataclass(frozen=True, slots=True)
class Within:
    """The range of a number."""

    low: float
    high: float = float("inf")
    above: bool = False  # the low end itself is not allowed

    def __contains__(self, number: float) -> bool:
        """Whether a number lies in the range."""
        return (self.low < number if self.above else self.low <= number) and number <= self.high

    def __str__(self) -> str:
        """The range, for a person."""
        low = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return low if self.high == float("inf") else f"{low} and at most {self.high:g}"


@dataclass(frozen=True, slots=True)
class Among:
    """The words that a text may be."""

    words: tuple[str, ...]

    def __contains__(self, word: str) -> bool:
        """Whether it is one of them."""
        return word in self.words

    def __str__(self) -> str:
        """The words, for a person."""
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class Present:
    """A path that must lead somewhere before a training begins."""


def tables_of(kind: type) -> dict[str, type]:
    """The tables of a document: those fields of `kind` that are dataclasses themselves."""
    hints = get_type_hints(kind)
    return {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}


def read_tables(document: Mapping[str, Any], kind: type) -> tuple[dict[str, Any], list[Problem]]:
    """The tables that are sound, as dataclasses, and what is wrong with the others."""
    known = tables_of(kind)
    problems = [
        Problem(kind=f"there is no table [{name}]{_near(name, known)}", place="")
        for name in document
        if name not in known
    ]
    sound: dict[str, Any] = {}
    for name, table in known.items():
        wrong, values = _read_table(document.get(name, {}), table, name)
        problems += wrong
        if not wrong:
            sound[name] = table(**values)
    return sound, problems


def _read_table(given: Any, kind: type, name: str) -> tuple[list[Problem], dict[str, Any]]:
    if not isinstance(given, dict):
        return [Problem(kind=f"{name} is {given!r}; write its settings in a table [{name}]", place="")], {}
    hints = get_type_hints(kind, include_extras=True)
    known: dict[str, Field[Any]] = {field.name: field for field in fields(kind)}
    wrong: list[str] = []
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            wrong.append(f"[{name}] has no setting {key!r}{_near(key, known)}")
            continue
        values[key], complaint = _fit(value, hints[key])
        if complaint:
            wrong.append(f"[{name}] {key} is {value!r}, not {complaint}")
    needed = (field.name for field in known.values() if field.default is MISSING is field.default_factory)
    wrong += [f"[{name}] does not say {key!r}" for key in needed if key not in given]
    return [Problem(kind=line, place="") for line in wrong], values


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; it knows {', '.join(sorted(known))}"


def _fit(value: Any, hint: Any) -> tuple[Any, str]:
    """The value as its field wants it, and what it should have been where it does not fit."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        fitting, complaint = _fit(value, parts[0])
        limits = next((part for part in parts[1:] if isinstance(part, Within | Among)), None)
        if not complaint and limits is not None and fitting not in limits:
            complaint = str(limits)
        return fitting, complaint
    if origin in (Union, types.UnionType):
        tries = [_fit(value, part) for part in parts if part is not type(None)]
        return next((item for item in tries if not item[1]), tries[0])
    if origin is Literal:
        return value, "" if value in parts else f"one of {', '.join(map(str, parts))}"
    if origin is tuple:
        return _fit_list(value, parts[0])
    return _fit_plain(value, hint)


def _fit_list(value: Any, kind: Any) -> tuple[Any, str]:
    if not isinstance(value, list):
        return value, "a list"
    fitted = [_fit(item, kind) for item in value]
    complaint = next((complaint for _, complaint in fitted if complaint), "")
    return tuple(item for item, _ in fitted), f"a list of which each is {complaint}" if complaint else ""


def _fit_plain(value: Any, kind: Any) -> tuple[Any, str]:
    if kind is Path and isinstance(value, str):
        return Path(value), ""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value), ""
    if kind not in NAMES or (isinstance(value, kind) and not (kind is int and isinstance(value, bool))):
        return value, ""
    return value, NAMES[kind]


def missing_paths(table: Any, name: str) -> Iterable[Problem]:
    """The paths of a table that must lead somewhere and do not."""
    for key, hint in get_type_hints(type(table), include_extras=True).items():
        marked = any(isinstance(mark, Present) for part in (hint, *get_args(hint)) for mark in get_args(part))
        path = getattr(table, key)
        if marked and path is not None and not path.exists():
            yield Problem(kind=f"[{name}] {key} names {str(path)!r}, which is not there", place="")
