"""From a training run to a verdict: its checkpoint is published, held against the champion, promoted or kept.

The champion is measured anew on the run's own data, by the same command that measured the candidate, since figures
of other studies say nothing of one another. A run that is begun again after its worker was lost goes on where that
one was: what is trained is not trained twice, and what is published is judged.
"""

import shutil
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from db.errors import ChampionChanged
from db.trainings import TrainingWork
from db.versions import VersionEntry
from pipeline.errors import CheckpointError, UsageError
from pipeline.manifest import load_manifest
from worker.bootstrap import Site
from worker.promoting import conclude, criteria_of, hold_trial, publish_checkpoint

log = structlog.get_logger()

ACTOR = "training"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a run will make, and from what."""

    config: str
    version: str
    checkpoint: Path
    data: Path | None  # the folder that both are measured on

    @property
    def is_trained(self) -> bool:
        """Whether an earlier attempt got as far as the figures, which are written last."""
        try:
            return bool(load_manifest(self.checkpoint).metrics)
        except CheckpointError:
            return False


def plan_of(work: TrainingWork) -> Plan:
    """What the run's configuration says of it; a version is named by the day and the run."""
    try:
        tables = tomllib.loads(Path(work.config).read_text(encoding="utf-8"))
        output = Path(tables["run"]["output"])
        data = tables.get("data", {}).get("folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"the configuration {work.config!r} cannot be used ({type(error).__name__}: {error}); "
            "it must be a TOML file on this machine with [run] output"
        ) from error
    version = f"{work.created_at:%Y-%m-%d}.{work.run_id}"
    return Plan(
        config=work.config, version=version, checkpoint=output / version, data=Path(data) if data else None
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidacy:
    """How a run's model stands as a candidate."""

    site: Site
    published: Callable[[int], None]  # told the version's id
    train: Callable[..., None]  # runs the trainer

    def stand(self, work: TrainingWork, plan: Plan) -> tuple[bool, str]:
        """Publish, measure, judge; whether it was promoted, and a line that says why or why not."""
        versions = self.site.shelf.versions
        version_id = work.model_version_id
        if version_id is None:
            version_id = publish_checkpoint(self.site, plan.checkpoint, actor=ACTOR).version_id
            self.published(version_id)
        candidate = versions.entry(version_id)
        try:
            return self._judge(candidate, plan)
        except ChampionChanged:  # while the one before it was measured
            return self._judge(candidate, plan)

    def _judge(self, candidate: VersionEntry, plan: Plan) -> tuple[bool, str]:
        criteria = criteria_of(self.site)
        measured = self._measure_champion(plan, criteria.split)
        trial = hold_trial(self.site, candidate, criteria, measured=measured)
        if conclude(self.site, trial, actor=ACTOR):
            return True, f"{candidate.title} was promoted: it met the criteria"
        return False, f"{candidate.title} was not promoted: {trial.missed}"

    def _measure_champion(self, plan: Plan, split: str) -> tuple[int, Mapping[str, Any]] | None:
        """The champion and its metrics on the run's data; None where there is none, or no data to measure on."""
        champion = self.site.shelf.champion()
        if champion is None or plan.data is None:
            return None
        with tempfile.TemporaryDirectory(prefix="champion-") as folder:
            copy = Path(folder) / "champion"
            shutil.copytree(champion.folder, copy)
            self.train("card", str(copy), str(plan.data), "--split", split)
            return champion.version_id, load_manifest(copy).metrics
