"""Publishing, judging and promoting of model versions: what the commands and the training worker share.

A candidate is held against the champion by the site's written criteria; the verdict is stored whatever it is.
Nothing is promoted that did not meet them, unless a person says why.
"""

import getpass
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from db.aliases import CHAMPION
from db.errors import ChampionChanged
from db.versions import Judgement, VersionEntry
from pipeline.errors import NightreadError
from pipeline.promotion import SHIPPED, Criteria, Figures, Verdict, figures_of, read_criteria
from pipeline.verdicts import judge
from worker.bootstrap import Site
from worker.provenance import finite
from worker.shelf import Model

log = structlog.get_logger()


class NotPromoted(NightreadError):
    """A version did not meet the criteria; the message has a line for each that it missed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A candidate, the champion that it was held against, and what came of it."""

    candidate: VersionEntry
    champion: VersionEntry | None
    verdict: Verdict
    judgement: Judgement

    @property
    def missed(self) -> str:
        """The criteria that were not met, on one line."""
        return (
            "; ".join(line.told for line in self.verdict.lines if line.passed is False)
            or "nothing could be compared"
        )


def publish_checkpoint(site: Site, folder: Path, *, actor: str) -> Model:
    """Keep and register a checkpoint; figures that were measured anew replace the ones that are stored.

    Raises:
        CheckpointError: Its files are damaged, or the version is kept with other ones.
        ModelConflict: The version is registered with other files.
    """
    if site.settings.source:
        site.require_outside_source()
    model = site.shelf.add(folder)
    versions = site.shelf.versions
    metrics = finite(model.manifest.metrics)
    if versions.entry(model.version_id).metrics != metrics:
        versions.refresh(model.version_id, metrics=metrics, actor=actor)
    log.info("model_published", model=model.manifest.title, version=model.version_id)
    return model


def criteria_of(site: Site) -> Criteria:
    """The site's criteria, or the shipped ones."""
    return read_criteria(site.settings.promotion or SHIPPED)


def hold_trial(
    site: Site,
    candidate: VersionEntry,
    criteria: Criteria,
    *,
    measured: tuple[int, Mapping[str, Any]] | None = None,
) -> Trial:
    """Judge a candidate against today's champion. `measured`: a champion and its metrics of just now.

    Raises:
        ChampionChanged: It is champion no more.
    """
    held = site.shelf.versions.aliases().get(CHAMPION)
    if measured is not None and held != measured[0]:
        raise ChampionChanged("another version became champion while the one before it was measured")
    champion = None if held is None else site.shelf.versions.entry(held)
    theirs: Figures | None = None
    if champion is not None:
        metrics = measured[1] if measured else champion.metrics
        theirs = figures_of(metrics, criteria.split, title=champion.title)
    ours = figures_of(candidate.metrics, criteria.split, title=candidate.title)
    verdict = judge(ours, theirs, criteria)
    judgement = Judgement(
        criteria=criteria.text,
        criteria_sha256=criteria.sha256,
        passed=verdict.passed,
        lines=tuple(finite(asdict(line)) for line in verdict.lines),
        figures={
            "candidate": finite(asdict(ours)),
            "champion": None if theirs is None else finite(asdict(theirs)),
        },
    )
    return Trial(candidate=candidate, champion=champion, verdict=verdict, judgement=judgement)


def conclude(site: Site, trial: Trial, *, actor: str, override: str = "") -> bool:
    """Store the verdict and, if it passed or is overridden, promote; whether it was promoted."""
    promoted = trial.verdict.passed or bool(override)
    store = site.shelf.versions.promote if promoted else site.shelf.versions.keep
    store(
        trial.candidate.id,
        trial.judgement,
        champion_id=trial.champion.id if trial.champion else None,
        actor=actor,
        reason="" if trial.verdict.passed else override,
    )
    log.info(
        "model_promoted" if promoted else "model_not_promoted",
        model=trial.candidate.title,
        champion=trial.champion.title if trial.champion else "none",
        passed=trial.verdict.passed,
        reason=override or ("" if trial.verdict.passed else trial.missed),
    )
    return promoted


def person() -> str:
    """Who gives a command, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "operator"
