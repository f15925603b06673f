"""A checkpoint's whole assessment: its comparison with the baselines, its speed here, and both as JSON.

The JSON's `metrics` has the form that a manifest keeps. Assumes a data set in the form of `training.datasets`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.captioner import Captioner
from pipeline.manifest import Manifest
from training.datasets import ImageArchive
from training.evaluate import Comparison, compare
from training.evaluation_table import notes_of, render_table, stored_metrics
from training.latency import Latency, measure_latency


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """What is known of a checkpoint after judging it."""

    manifest: Manifest
    split: str
    comparison: Comparison
    archive: ImageArchive  # where the page takes its images from
    device: str  # "cpu" or the GPU's name
    latencies: list[Latency]

    @property
    def table(self) -> str:
        """For a terminal."""
        return render_table(self.comparison.evaluations, self.latencies)

    @property
    def json(self) -> dict[str, Any]:
        """For machines."""
        own = self.comparison.evaluations[0]
        return {
            "name": self.manifest.title,
            "weights_sha256": self.manifest.weights_sha256,
            "split": self.split,
            "metrics": stored_metrics(self.comparison.evaluations),
            "extracted labels": {label: asdict(score) for label, score in own.extracted.labels.items()},
            "device": self.device,
            "latency": [asdict(item) for item in self.latencies],
            "notes": [*notes_of(own), "every text is a draft for a radiologist"],
        }


def assess(captioner: Captioner, folder: Path, split: str, *, form: str = "", meteor: bool = True) -> Assessment:
    """Judge a model on a split and time it."""
    comparison = compare(captioner, folder, split, form=form, meteor=meteor)
    archive = ImageArchive(folder, captioner.manifest.preprocessing, form)
    return Assessment(
        manifest=captioner.manifest,
        split=split,
        comparison=comparison,
        archive=archive,
        device=captioner.device_name,
        latencies=measure_latency(captioner, comparison.examples, archive),
    )
