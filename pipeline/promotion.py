"""Whether a model may take the champion's place: written criteria, held against the figures of both.

Criteria are a TOML file; the shipped one (`promotion.toml`) tells the form. Here they are read and their words
defined; `pipeline.verdicts` judges. Does not know how figures are measured.
"""

import difflib
import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError

SHIPPED = Path(__file__).with_name("promotion.toml")
LIMITS = ("at_least", "above", "at_most", "below")
KEYS = ("figure", "each_label", *LIMITS, "tolerance", "cases")
LABEL_FIGURES = ("precision", "recall", "f1")
CHAMPION, LOWER, UPPER = "champion", "champion lower", "champion upper"
NEAR = 1e-9  # figures that differ by less are equal: they were rounded on their way


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What was measured of one model."""

    title: str
    values: Mapping[str, float]
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)  # 95 %: lower, upper
    labels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # cases, precision, recall, f1


@dataclass(frozen=True, kw_only=True, slots=True)
class Criterion:
    """One condition on one figure, or on the same figure of each label."""

    figure: str
    each_label: bool
    kind: str  # one of LIMITS
    limit: float | str  # a number, or what of the champion's
    tolerance: float = 0.0  # by how much the champion's may be missed
    cases: int = 0  # labels with fewer are left out

    @property
    def text(self) -> str:
        """For a person."""
        what = f"{self.figure} of each label" if self.each_label else self.figure
        if self.cases:
            what += f" with {self.cases} cases or more"
        limits = {
            CHAMPION: "the champion's",
            LOWER: "the champion's lower bound",
            UPPER: "the champion's upper bound",
        }
        limit = limits[self.limit] if isinstance(self.limit, str) else f"{self.limit:g}"
        sign = "less" if self.kind in ("at_least", "above") else "and"
        slack = f" {sign} {self.tolerance:g}" if self.tolerance else ""
        return f"{what} {self.kind.replace('_', ' ')} {limit}{slack}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Criteria:
    """A whole file."""

    text: str
    sha256: str
    split: str  # on which both were judged
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What became of one criterion."""

    criterion: str
    figure: float | None
    limit: float | None
    passed: bool | None  # None: there was nothing to hold it against
    note: str = ""

    @property
    def told(self) -> str:
        """For a person."""
        mark = {True: "met    ", False: "NOT MET", None: "skipped"}[self.passed]
        figures = ""
        if self.figure is not None:
            figures = f": {self.figure:.4g}" + ("" if self.limit is None else f" against {self.limit:.4g}")
        return f"{mark} {self.criterion}{figures}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a model may be promoted, and a line for each criterion."""

    lines: tuple[Line, ...]

    @property
    def passed(self) -> bool:
        """All criteria that could be held against something are met, and at least one was."""
        return any(line.passed for line in self.lines) and all(line.passed is not False for line in self.lines)


def figures_of(metrics: Mapping[str, Any], split: str, *, title: str) -> Figures:
    """The figures that a manifest holds for a split; none, where the model was never judged on it."""
    judged = metrics.get(split) or {}
    values = {name: float(value) for name, value in (judged.get("model") or {}).items() if _is_number(value)}
    return Figures(
        title=title,
        values=values,
        intervals=judged.get("intervals") or {},
        labels=judged.get("labels") or {},
    )


def read_criteria(path: Path = SHIPPED) -> Criteria:
    """Read a file of criteria; all its mistakes are one UsageError."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the criteria {str(path)!r} cannot be read: {error}; see {SHIPPED} for their form"
        ) from error
    problems = [
        f"unknown key {key!r}{near(key, ('split', 'criterion'))}" for key in raw.keys() - {"split", "criterion"}
    ]
    split, tables = raw.get("split", "val"), raw.get("criterion", [])
    if not isinstance(split, str):
        problems.append(f"split is {split!r}, not a name")
    if not isinstance(tables, list) or not tables:
        problems.append("there is no [[criterion]]")
        tables = []
    for number, table in enumerate(tables, 1):
        problems += [f"criterion {number}: {problem}" for problem in _problems(table)]
    if problems:
        raise UsageError(
            f"the criteria {str(path)!r} are wrong: {'; '.join(problems)}; see {SHIPPED} for their form"
        )
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Criteria(text=text, sha256=digest, split=split, criteria=tuple(map(_criterion, tables)))


def _problems(table: Any) -> list[str]:
    """What is wrong with one criterion, in words."""
    if not isinstance(table, dict):
        return [f"{table!r} is no table"]
    found = [f"unknown key {key!r}{near(key, KEYS)}" for key in table if key not in KEYS]
    if ("figure" in table) == ("each_label" in table):
        found.append("give either figure or each_label")
    if sum(kind in table for kind in LIMITS) != 1:
        found.append(f"give one of {', '.join(LIMITS)}")
    if "cases" in table and "each_label" not in table:
        found.append("cases is for each_label")
    return found + _wrong_values(table)


def _wrong_values(table: dict[str, Any]) -> list[str]:
    found = []
    if not isinstance(table.get("figure", ""), str):
        found.append(f"figure is {table['figure']!r}, not a name")
    if table.get("each_label", LABEL_FIGURES[0]) not in LABEL_FIGURES:
        found.append(f"each_label is {table['each_label']!r}, not one of {', '.join(LABEL_FIGURES)}")
    limits = {kind: table[kind] for kind in LIMITS if kind in table}
    found += [
        f"{kind} is {limit!r}, neither a number nor one of {CHAMPION!r}, {LOWER!r}, {UPPER!r}"
        for kind, limit in limits.items()
        if not _is_number(limit) and limit not in (CHAMPION, LOWER, UPPER)
    ]
    found += [
        f"{key} is {table[key]!r}, not a number from 0"
        for key in ("tolerance", "cases")
        if key in table and not (_is_number(table[key]) and table[key] >= 0)
    ]
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def near(word: str, known: Iterable[str]) -> str:
    """A guess at what was meant, for the end of a complaint."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _criterion(table: Mapping[str, Any]) -> Criterion:
    kind = next(kind for kind in LIMITS if kind in table)
    return Criterion(
        figure=table.get("figure") or table["each_label"],
        each_label="each_label" in table,
        kind=kind,
        limit=table[kind],
        tolerance=float(table.get("tolerance", 0)),
        cases=int(table.get("cases", 0)),
    )
