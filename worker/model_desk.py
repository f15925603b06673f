"""The `models` commands without click: what a person sees of the registry, and does to it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from db.trainings import Trainings
from db.versions import PromotionEntry, VersionEntry
from pipeline.errors import CheckpointError, UsageError
from pipeline.manifest import CARD, find_checkpoint
from pipeline.promotion import Line
from worker.bootstrap import Site
from worker.promoting import NotPromoted, Trial, conclude, criteria_of, hold_trial, person, publish_checkpoint
from worker.settings import Settings
from worker.terminal import print_json

SHOWN = ("CIDEr", "BLEU-4", "macro F1 problems", "AUROC abnormal")  # of a version, on one line


def publish(settings: Settings, name_or_path: str | Path) -> None:
    """Keep and register a checkpoint: one that comes with the program, by its name, or a folder."""
    site = Site(settings=settings)
    model = publish_checkpoint(site, find_checkpoint(name_or_path), actor=person())
    entry = site.shelf.versions.entry(model.version_id)
    click.echo(f"{entry.title} is published: weights {entry.weights_sha256[:12]}…, device UID {entry.device_uid}")
    click.echo(f"`nightread models promote {entry.title}` makes it champion if it meets the criteria.")


def list_models(settings: Settings, *, as_json: bool) -> None:
    """Every version, the newest first."""
    site = _existing(settings)
    split = criteria_of(site).split
    entries = site.shelf.versions.entries()
    if as_json:
        print_json({"models": [_entry_as_json(entry) for entry in entries]})
        return
    for entry in entries:
        told = f" [{', '.join(entry.aliases)}]" if entry.aliases else ""
        figures = (entry.metrics.get(split) or {}).get("model") or {}
        shown = ", ".join(f"{name} {figures[name]:.3f}" for name in SHOWN if name in figures)
        click.echo(f"{entry.title}{told}, {entry.architecture}, {entry.created_at:%Y-%m-%d %H:%M} UTC; {shown}")
    if not entries:
        click.echo(
            "There is no model yet: the first `nightread run` registers the one that comes with the program."
        )


def show_model(settings: Settings, title: str, *, as_json: bool) -> None:
    """Everything about one version."""
    site = _existing(settings)
    entry = site.shelf.named(title)
    versions = site.shelf.versions
    history, judged = versions.history(entry.id), versions.judgements(entry.id)
    runs = Trainings(site.engine).entries(20, model_version_id=entry.id)
    card = _card(site, entry)
    if as_json:
        print_json(
            {
                **_entry_as_json(entry),
                "card": card,
                "history": [asdict(event) for event in history],
                "judgements": [asdict(item) for item in judged],
                "training_runs": [asdict(run) for run in runs],
            }
        )
        return
    _tell_entry(entry, card)
    _tell_figures(entry.metrics)
    for event in history:
        to = "" if event.model_version_id == entry.id else " left it"
        click.echo(f"{event.created_at:%Y-%m-%d %H:%M} UTC {event.alias}{to}, by {event.actor}: {event.reason}")
    for item in judged:
        _tell_judgement(item)
    for run in runs:
        click.echo(f"made by training run {run.run_id} of {run.config}, asked by {run.asked_by}: {run.reason}")


def promote(settings: Settings, title: str, *, override: str, dry_run: bool, as_json: bool = False) -> None:
    """Make a version champion if it meets the criteria.

    Raises:
        NotPromoted: It does not, and nobody said why it should be all the same.
    """
    site = _existing(settings)
    entry = site.shelf.named(title)
    if "champion" in entry.aliases:
        click.echo(f"{entry.title} is the champion already.")
        return
    site.shelf.model(entry.id)  # its files can be had, or nothing is promoted
    trial = hold_trial(site, entry, criteria_of(site))
    promoted = False if dry_run else conclude(site, trial, actor=person(), override=override)
    _tell_trial(trial, promoted=promoted, dry_run=dry_run, as_json=as_json)
    if not promoted and not dry_run:
        raise NotPromoted(
            f"{entry.title} is not promoted: it does not meet the criteria; "
            "train a better one, or say why it should be all the same with --override"
        )


def _tell_trial(trial: Trial, *, promoted: bool, dry_run: bool, as_json: bool) -> None:
    title, against = trial.candidate.title, trial.champion.title if trial.champion else None
    if as_json:
        lines = [asdict(line) for line in trial.verdict.lines]
        told = {"model": title, "champion": against, "passed": trial.verdict.passed, "promoted": promoted}
        print_json({**told, "dry_run": dry_run, "lines": lines})
        return
    click.echo(f"{title} against {against or 'no champion'}:")
    for line in trial.verdict.lines:
        click.echo(f"  {line.told}")
    if dry_run:
        click.echo("A dry run: nothing is stored.")
    if promoted:
        click.echo(f"{title} is the champion; running workers take it within a minute.")
        click.echo(
            "`nightread models rollback` takes it back; `nightread backfill` shows it what others have seen."
        )


def rollback(settings: Settings, *, reason: str, as_json: bool = False) -> None:
    """Make the champion before this one champion again."""
    site = _existing(settings)
    held = site.shelf.versions.aliases()
    if "previous" in held:
        site.shelf.model(held["previous"])  # its files can be had, or nothing is changed
    turned = site.shelf.versions.rollback(actor=person(), reason=reason)
    if turned is None:
        raise UsageError("there is no previous champion to go back to; `nightread models list` shows all versions")
    was, now = (site.shelf.versions.entry(version_id).title for version_id in turned)
    if as_json:
        print_json({"champion": now, "previous": was})
        return
    click.echo(f"{now} is the champion again, {was} is `previous`; running workers take it within a minute.")


def set_shadow(settings: Settings, title: str, *, reason: str) -> None:
    """Put a version on trial beside the champion; `none` ends the trial."""
    site = _existing(settings)
    if title == "none":
        site.shelf.versions.set_shadow(None, actor=person(), reason=reason)
        click.echo("No model is on trial.")
        return
    entry = site.shelf.named(title)
    if "champion" in entry.aliases:
        raise UsageError(f"{entry.title} is the champion: it needs no trial")
    site.shelf.model(entry.id)
    site.shelf.versions.set_shadow(entry.id, actor=person(), reason=reason)
    click.echo(
        f"{entry.title} captions beside the champion within a minute; its drafts are in shadow_report only."
    )


def _existing(settings: Settings) -> Site:
    site = Site(settings=settings)
    site.require_ledger()
    return site


def _card(site: Site, entry: VersionEntry) -> str:
    try:
        return str(site.shelf.model(entry.id).folder / CARD)
    except CheckpointError:
        return ""


def _entry_as_json(entry: VersionEntry) -> dict[str, Any]:
    return {"model": entry.title, **asdict(entry)}


def _tell_entry(entry: VersionEntry, card: str) -> None:
    click.echo(f"{entry.title}, {entry.architecture}, registered {entry.created_at:%Y-%m-%d %H:%M} UTC")
    told = {
        "aliases": ", ".join(entry.aliases) or "none",
        "device UID": entry.device_uid,
        "weights": entry.weights_sha256,
        "tokenizer": entry.tokenizer_sha256,
        "preprocessing": entry.preprocessing_sha256,
        "training": entry.training_manifest_sha256,
        "commit": entry.git_commit or "unknown",
        "licence": entry.license,
        "card": card or "its files are not to be had from here",
    }
    for name, value in told.items():
        click.echo(f"  {name:<14}{value}")


def _tell_figures(metrics: Mapping[str, Any]) -> None:
    """The model's figures beside the baselines', for each split."""
    for split, judged in metrics.items():
        authors = [name for name in judged if name not in ("intervals", "labels")]
        click.echo("".join(f"{name:>20}" for name in [f"on {split}", *authors]))
        for figure in judged.get("model", {}):
            values = (judged[name].get(figure) for name in authors)
            cells = "".join(f"{'' if value is None else f'{value:.4g}':>20}" for value in values)
            bounds = judged.get("intervals", {}).get(figure)
            click.echo(f"{figure:>20}{cells}" + (f"   {bounds[0]:.4g} to {bounds[1]:.4g}" if bounds else ""))


def _tell_judgement(item: PromotionEntry) -> None:
    what = "promoted" if item.promoted else "not promoted"
    why = f" all the same: {item.reason}" if item.reason else ""
    click.echo(
        f"{item.created_at:%Y-%m-%d %H:%M} UTC {what}{why}, by {item.actor}, criteria {item.criteria_sha256[:12]}…"
    )
    for line in item.verdict["lines"]:
        click.echo(f"  {Line(**line).told}")
