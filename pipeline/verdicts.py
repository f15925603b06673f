"""From criteria and two models' figures to a verdict, one line for each criterion.

A pure function. What cannot be compared is not met, and the line says why; only where there is no champion, or a
label that it was never judged by, is there nothing to compare with. A champion without an interval is held to its
figure itself: that asks for more, never for less.
"""

import math
from collections.abc import Iterator

from pipeline.errors import UsageError
from pipeline.promotion import CHAMPION, NEAR, Criteria, Criterion, Figures, Line, Verdict, near

STUDIES = "studies"  # the figure that tells how many were judged


def judge(candidate: Figures, champion: Figures | None, criteria: Criteria) -> Verdict:
    """Hold a candidate against the criteria; None: there is no champion yet.

    Raises:
        UsageError: Criteria name figures that neither model has; all are named.
    """
    _require_known(candidate, champion, criteria)
    lines = [_line(criterion, candidate, champion) for criterion in criteria.criteria]
    compared = any(isinstance(item.limit, str) for item in criteria.criteria)
    if champion is not None and compared:
        lines.insert(0, _same_studies(candidate, champion))
    return Verdict(lines=tuple(lines))


def _require_known(candidate: Figures, champion: Figures | None, criteria: Criteria) -> None:
    if not candidate.values:
        raise UsageError(
            f"{candidate.title} has no figures on the split {criteria.split!r}; "
            "`nightread-train card` measures them, then publish it again"
        )
    known = {*candidate.values, *(champion.values if champion else ())}
    problems = [
        f"{item.figure!r}{near(item.figure, known)}"
        for item in criteria.criteria
        if not item.each_label and item.figure not in known
    ]
    if problems:
        raise UsageError(
            f"the criteria name figures that no model has: {', '.join(problems)}; "
            f"they have {', '.join(sorted(known))}"
        )


def _same_studies(candidate: Figures, champion: Figures) -> Line:
    """Figures of different studies say nothing of one another."""
    ours, theirs = candidate.values.get(STUDIES), champion.values.get(STUDIES)
    same = ours is not None and ours == theirs
    note = "" if same else "judged on other studies: the figures cannot be compared"
    return Line(
        criterion="judged on as many studies as the champion", figure=ours, limit=theirs, passed=same, note=note
    )


def _line(criterion: Criterion, candidate: Figures, champion: Figures | None) -> Line:
    if isinstance(criterion.limit, str) and champion is None:
        return _unmet(criterion, passed=None, note="there is no champion yet")
    return (
        _of_labels(criterion, candidate, champion)
        if criterion.each_label
        else _of_one(criterion, candidate, champion)
    )


def _of_one(criterion: Criterion, candidate: Figures, champion: Figures | None) -> Line:
    figure = candidate.values.get(criterion.figure)
    if figure is None or not math.isfinite(figure):
        return _unmet(criterion, note=f"{candidate.title} has no such figure")
    limit, note = _limit(criterion, champion)
    if limit is None:
        return _unmet(criterion, figure=figure, note=note)
    return Line(
        criterion=criterion.text, figure=figure, limit=limit, passed=_holds(criterion, figure, limit), note=note
    )


def _limit(criterion: Criterion, champion: Figures | None) -> tuple[float | None, str]:
    """What the figure is held to, the tolerance included, and what a person should know of it."""
    if not isinstance(criterion.limit, str):
        return criterion.limit, ""
    assert champion is not None
    limit = champion.values.get(criterion.figure)
    if limit is None or not math.isfinite(limit):
        return None, f"the champion {champion.title} has no such figure: judge it again"
    note = ""
    if criterion.limit != CHAMPION:
        interval = champion.intervals.get(criterion.figure)
        if interval:
            limit = float(interval[0 if criterion.limit.endswith("lower") else 1])
        else:
            note = "the champion has no interval: held to its figure itself"
    return _slack(criterion, limit), note


def _slack(criterion: Criterion, limit: float) -> float:
    return limit - criterion.tolerance if criterion.kind in ("at_least", "above") else limit + criterion.tolerance


def _holds(criterion: Criterion, figure: float, limit: float) -> bool:
    match criterion.kind:
        case "at_least":
            return figure >= limit - NEAR
        case "above":
            return figure > limit
        case "at_most":
            return figure <= limit + NEAR
        case _:
            return figure < limit


def _of_labels(criterion: Criterion, candidate: Figures, champion: Figures | None) -> Line:
    """The label that is furthest from its limit stands for all; the note names every one that misses it."""
    if not candidate.labels:
        return _unmet(criterion, note=f"{candidate.title} has no figures for each label")
    if champion is not None and isinstance(criterion.limit, str) and not champion.labels:
        return _unmet(
            criterion, note=f"the champion {champion.title} has no figures for each label: judge it again"
        )
    found = sorted(_labels(criterion, candidate, champion))
    if not found:
        return _unmet(criterion, passed=None, note="no label has so many cases")
    missed = [
        f"{label} {figure:.2f} against {limit:.2f}"
        for _, label, figure, limit in found
        if not _holds(criterion, figure, limit)
    ]
    _, label, figure, limit = found[0]
    return Line(
        criterion=criterion.text,
        figure=figure,
        limit=limit,
        passed=not missed,
        note="; ".join(missed) or f"closest: {label}",
    )


def _labels(
    criterion: Criterion, candidate: Figures, champion: Figures | None
) -> Iterator[tuple[float, str, float, float]]:
    """(room to the limit, label, figure, limit) of each label with enough cases that both were judged by."""
    side = 1 if criterion.kind in ("at_least", "above") else -1
    for label, scores in candidate.labels.items():
        if scores.get("cases", 0) < criterion.cases:
            continue
        limit: float | None = None
        if not isinstance(criterion.limit, str):
            limit = criterion.limit
        elif champion is not None and label in champion.labels:
            limit = _slack(criterion, float(champion.labels[label].get(criterion.figure, math.nan)))
        figure = float(scores.get(criterion.figure, math.nan))
        if limit is not None and math.isfinite(limit):
            room = side * (figure - limit) if math.isfinite(figure) else -math.inf
            yield room, label, figure, limit


def _unmet(criterion: Criterion, *, note: str, figure: float | None = None, passed: bool | None = False) -> Line:
    return Line(criterion=criterion.text, figure=figure, limit=None, passed=passed, note=note)
