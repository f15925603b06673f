"""The view classifier's weights with what must be known of them, as `pipeline.view_classifier` reads them.

The manifest is written last. Knows no data.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors.numpy import save_file

from pipeline.view_classifier import SIDE, Thresholds, ViewClassifier
from training.view_data import Seen, chests, frontals, others, phantoms
from training.view_figures import Figures, figures, thresholds_for
from training.views import train, weights_of


def read_views(chest_folder: Path, frontal_folder: Path, other_folder: Path) -> list[Seen]:
    """Everything there is to learn from and to judge by."""
    return [*chests(chest_folder), *frontals(frontal_folder), *phantoms(), *others(other_folder)]


def release(seen: Sequence[Seen], out: Path, *, steps: int) -> list[Figures]:
    """Train, choose thresholds, judge and write."""
    weights = weights_of(train(seen, steps=steps))
    undecided = ViewClassifier(weights, Thresholds(tells=1.0, contradicts=1.0, inverted=1.0))
    thresholds = thresholds_for(undecided, seen)
    found = list(figures(ViewClassifier(weights, thresholds), seen))
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "model.safetensors")
    manifest = {
        "side": SIDE,
        "sha256": hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest(),
        "thresholds": asdict(thresholds),
        "steps": steps,
        "licence": "CC BY-NC-ND 4.0, research only, as the Indiana University collection it was trained on",
        "figures": [asdict(row) for row in found],
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return found


def table(rows: Sequence[Figures]) -> str:
    """For a person."""
    names = list(asdict(rows[0]))
    lines = [names, *([str(value) for value in asdict(row).values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
