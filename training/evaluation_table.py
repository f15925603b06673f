"""An evaluation for a terminal, and for a manifest. Knows no HTML; see `evaluation_page`."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from training.clinical import Clinical
from training.evaluate import Evaluation
from training.latency import Latency

NO_JAVA = "METEOR is left out: it needs Java, and --no-meteor leaves it out too"


def stored_metrics(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """What a manifest keeps: the model's figures, intervals and labels, and the others' figures."""
    own, *others = evaluations
    return {
        "model": own.summary,
        "intervals": {figure: list(bounds) for figure, bounds in own.intervals.items()},
        "labels": {label: asdict(score) for label, score in own.coded.labels.items()},
        **{item.name: item.summary for item in others},
    }


def notes_of(own: Evaluation) -> tuple[str, ...]:
    """What a reader of the figures must know besides them."""
    return own.notes if "METEOR" in own.summary else (*own.notes, NO_JAVA)


def render_table(evaluations: Sequence[Evaluation], latencies: Sequence[Latency] = ()) -> str:
    """Model and baselines side by side, then the model's labels."""
    own, *others = evaluations
    lines = ["".join(f"{name:>20}" for name in ("", own.name, "95 % interval", *(item.name for item in others)))]
    for metric, value in own.summary.items():
        bounds = "–".join(f"{bound:.3f}" for bound in own.intervals.get(metric, ()))
        values = (figure(value), bounds, *(figure(item.summary[metric]) for item in others))
        lines.append("".join(f"{text:>20}" for text in (metric, *values)))
    for title, scores in (("coded problems", own.coded), ("reference text", own.extracted)):
        lines += _labels(f"{own.name} against {title}", scores)
    lines += (f"\n{text}" for text in _latencies(latencies))
    lines += (f"\nNote: {note}." for note in notes_of(own))
    return "\n".join(lines)


def _labels(title: str, scores: Clinical) -> Iterable[str]:
    yield f"\n{title:<52}{'cases':>7}{'P':>7}{'R':>7}{'F1':>7}"
    for name, score in scores.labels.items():
        yield f"{name:<52}{score.cases:>7}{score.precision:>7.2f}{score.recall:>7.2f}{score.f1:>7.2f}"


def _latencies(latencies: Sequence[Latency]) -> Iterable[str]:
    for item in latencies:
        many = "one study at a time" if item.batch_size == 1 else f"{item.batch_size} studies at a time"
        yield f"{many}: {item.median:.3f} s per study (median), {item.p90:.3f} s (90 %)"


def figure(value: float) -> str:
    """A count as it is, anything else with four digits."""
    return str(value) if isinstance(value, int) else f"{value:.4f}"
