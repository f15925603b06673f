"""What a search may change in a configuration: the `[tune]` table.

    [tune]
    trials = 30
    model.width = [128, 512]                     # two numbers: anything between them
    model.architecture = ["attention", "transformer"]
    reports.batch_size = { choices = [24, 48] }  # two numbers and nothing between them

Numbers that differ by a factor of 10 or more are searched by their logarithm. Knows no search and no model.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import tomli_w

from pipeline.errors import UsageError

Value = str | int | float | bool
Tables = dict[str, Any]
MAGNITUDE = 10  # from which a range is searched by its logarithm


class Suggesting(Protocol):
    """A trial that is asked what to try; answers at once."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of them."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """A whole number between."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """A number between."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """All numbers between two."""

    low: float
    high: float

    def suggest(self, trial: Suggesting, name: str) -> Value:
        """Ask for one."""
        log = self.low > 0 and self.high / self.low >= MAGNITUDE
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=log)
        return trial.suggest_float(name, self.low, self.high, log=log)

    @property
    def first(self) -> Value:
        """Some value of it."""
        return self.low


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """Some values."""

    values: tuple[Value, ...]

    def suggest(self, trial: Suggesting, name: str) -> Value:
        """Ask for one."""
        value: Value = trial.suggest_categorical(name, self.values)
        return value

    @property
    def first(self) -> Value:
        """Some value of it."""
        return self.values[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A configuration with what may change in it."""

    base: Tables  # without [tune]
    trials: int
    space: Mapping[str, Range | Choices]  # by dotted name

    def write(self, path: Path, values: Mapping[str, Value], *, run: Mapping[str, str]) -> None:
        """The configuration with these values, as a file; `run` replaces settings of its [run]."""
        tables = deepcopy(self.base)
        for name, value in {**values, **{f"run.{key}": value for key, value in run.items()}}.items():
            *place, last = name.split(".")
            table = tables
            for part in place:
                table = table.setdefault(part, {})
            table[last] = value
        path.write_text(tomli_w.dumps(tables), encoding="utf-8")

    @property
    def sha256(self) -> str:
        """What makes two searches the same: everything but the number of trials."""
        told = repr((self.base, sorted(self.space.items())))
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def first(self) -> dict[str, Value]:
        """Some value of each parameter."""
        return {name: parameter.first for name, parameter in self.space.items()}


def read_search(path: Path) -> Search:
    """Read a configuration with its [tune] table; every mistake is a UsageError."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    wanted = dict(tables.pop("tune", {}))
    trials = wanted.pop("trials", None)
    if not isinstance(trials, int) or isinstance(trials, bool) or trials < 1:
        raise UsageError(
            f"[tune] in {path} has trials = {trials!r}; say how many configurations to try, from 1 on"
        )
    space = {name: _parameter(name, value) for name, value in _flat(wanted).items()}
    if not space:
        raise UsageError(f"[tune] in {path} names nothing to change; add a line such as model.width = [128, 512]")
    return Search(base=tables, trials=trials, space=space)


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        inner = isinstance(value, dict) and set(value) != {"choices"}
        flat |= _flat(value, f"{before}{key}.") if inner else {before + key: value}
    return flat


def _parameter(name: str, value: Any) -> Range | Choices:
    match value:
        case {"choices": [_, *_] as values}:
            return Choices(values=tuple(values))
        case [int() | float() as low, int() | float() as high] if not isinstance(low, bool):
            if low >= high:
                raise UsageError(f"[tune] {name} goes from {low!r} to {high!r}; name the smaller number first")
            return Range(low=low, high=high)
        case [_, _, *_]:
            return Choices(values=tuple(value))
    raise UsageError(f"[tune] {name} = {value!r} leaves nothing to choose; write [low, high] or a list of choices")
