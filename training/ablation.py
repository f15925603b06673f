"""What each part of a configuration is worth: the same training with one thing changed, over several seeds.

    [ablation]
    seeds = [1, 2, 3]
    common = { "reports.epochs" = 8 }                # of every row; may be left out

    [ablation.variants]
    "without the indication" = { "model.use_indication" = false }

Every training's figures stay in the work folder under what was trained, so that a killed ablation goes on and
nothing is trained twice; what the variants have in common (often all that is seen) is learnt once. It goes seed by
seed, so that one seed's whole table comes first. Knows neither models nor data: the objective is passed in.
"""

import hashlib
import json
import logging
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from pipeline.errors import UsageError
from training.config import Config, read_config

log = logging.getLogger(__name__)
BASE = "as configured"
FIGURES = {
    "CIDEr": "CIDEr",
    "BLEU-4": "BLEU-4",
    "ROUGE-L": "ROUGE-L",
    "macro F1": "macro F1 problems",
    "AUROC": "AUROC abnormal",
    "texts": "distinct texts",
    "seed B-1": "seed BLEU-1",
    "seed B-2": "seed BLEU-2",
    "seed B-3": "seed BLEU-3",
    "seed B-4": "seed BLEU-4",
    "impressions": "distinct impressions",
}  # column -> figure of an evaluation

Objective = Callable[[Config], Mapping[str, float]]  # trains a configuration and judges it; may take hours


@dataclass(frozen=True, kw_only=True, slots=True)
class Ablation:
    """Which trainings are compared."""

    seeds: tuple[int, ...]
    variants: Mapping[str, Mapping[str, Any]]  # name -> settings by dotted name


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one variant came to."""

    name: str
    figures: Mapping[str, Sequence[float]]  # column -> one value per seed


def read_ablation(path: Path) -> Ablation:
    """The [ablation] table of a configuration; every mistake is a UsageError, found before the first training."""
    read_config(path)
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("ablation")
    if not isinstance(table, dict) or set(table) - {"seeds", "common", "variants"}:
        raise UsageError(f"{path} needs a table [ablation] with seeds, common and variants, and nothing else")
    seeds, common, variants = table.get("seeds", []), table.get("common", {}), table.get("variants", {})
    if not seeds or not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise UsageError(f"[ablation] in {path} has seeds = {seeds!r}; list whole numbers, such as [1, 2, 3]")
    for name, changes in {"common": common, **variants}.items():
        if not isinstance(changes, dict) or not all("." in key for key in changes):
            raise UsageError(
                f'[ablation] {name!r} is {changes!r}; name what changes, such as {{ "model.width" = 128 }}'
            )
        read_config(path, changes=changes)
    told = {name: {**common, **changes} for name, changes in {BASE: {}, **variants}.items()}
    return Ablation(seeds=tuple(seeds), variants=told)


def ablate(path: Path, objective: Objective) -> list[Row]:
    """Train and judge every variant with every seed, or take what an equal training came to."""
    wanted = read_ablation(path)
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in wanted.variants}
    for seed in wanted.seeds:
        for name, changes in wanted.variants.items():
            figures = _measure(path, {**changes, "run.seed": seed}, objective)
            log.info("%s, seed %d: %s", name, seed, figures)
            found[name].append(figures)
    return [
        Row(name=name, figures={column: [each[key] for each in runs] for column, key in FIGURES.items()})
        for name, runs in found.items()
    ]


def _measure(path: Path, changes: Mapping[str, Any], objective: Objective) -> Mapping[str, float]:
    config = read_config(path, changes=changes)
    digest = _key(config)
    place = config.run.work / f"ablation-{config.run.name}" / digest
    kept = place / "figures.json"
    if kept.exists():
        figures: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
        return figures
    place.mkdir(parents=True, exist_ok=True)
    named = {"run.version": digest, "run.output": str(place / "checkpoint")}
    measured = objective(read_config(path, changes={**changes, **named}))
    partial = kept.with_suffix(".partial")
    partial.write_text(json.dumps(dict(measured), indent=1), encoding="utf-8")
    partial.replace(kept)
    return measured


def _key(config: Config) -> str:
    """Of what is trained, whatever else the file says: one more variant costs no other row."""
    told = replace(config, sha256="", run=replace(config.run, version="", output=Path()))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def render_rows(rows: Sequence[Row]) -> str:
    """A Markdown table: the mean over the seeds, and their standard deviation where there are several."""
    lines = [f"| | {' | '.join(FIGURES)} |", f"|---|{'---|' * len(FIGURES)}"]
    lines += [f"| {row.name} | {' | '.join(_told(row.figures[column]) for column in FIGURES)} |" for row in rows]
    return "\n".join(lines)


def _told(values: Sequence[float]) -> str:
    digits = 0 if all(isinstance(value, int) for value in values) else 3
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread}"
