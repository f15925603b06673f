"""A trained model -> a checkpoint folder: manifest, model card, files; metrics are measured on what was written.

The checkpoint is written once without metrics, loaded back as anyone would load it, judged, and its manifest and
card are written again with the figures. Assumes the Indiana collection's licence for its starter card; a site that
trains on its own data says so in the configuration.
"""

import subprocess
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.captioner import Captioner
from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.manifest import FORMAT_VERSION, OPTIONAL, Accepts, Manifest
from training.card import render_card
from training.config import Config
from training.evaluate import Evaluation, evaluate
from training.evaluation_table import stored_metrics
from training.material import preprocessing_of
from training.sources.readers import card_notes, open_data
from training.trainer import Trained

ACCEPTS = Accepts(
    modalities=("CR", "DX", "RG"),
    body_parts=("", "CHEST", "THORAX", "CHEST_TO_PELVIS", "RIBCAGE", "LUNG", "HEART"),
    frontal=OPTIONAL,  # a lateral alone is reported, and said to be alone
    lateral=OPTIONAL,
)
NAMESPACE = uuid.UUID("7c0a4f0e-54f0-4c7a-9a3c-0d6d4f5d6a11")  # ours: a name and version give one device UID


def device_uid(name: str, version: str) -> str:
    """A DICOM UID under 2.25. for a model version, the same whenever it is asked for."""
    return f"2.25.{uuid.uuid5(NAMESPACE, f'{name}:{version}').int}"


def git_commit() -> str:
    """The code's commit, marked when the tree differs from it; "" outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)  # noqa: S603 - fixed command
    return result.stdout.strip()


def describe(config: Config, trained: Trained) -> Manifest:
    """The manifest, as far as it is known before judgement."""
    training: dict[str, Any] = {
        "data": config.data.source,
        "data_notes": list(card_notes(open_data(config.data.folder, config.data.form))),
        "concept_splits": list(config.data.concept_splits),
        "report_splits": list(config.data.report_splits),
        "choice_split": config.data.choice_split,
        "git_commit": git_commit(),
        "seed": config.run.seed,
        "targets": config.reports.targets,
        "config_sha256": config.sha256,
    }
    return Manifest(
        format_version=FORMAT_VERSION,
        name=config.run.name,
        version=config.run.version,
        device_uid=device_uid(config.run.name, config.run.version),
        architecture=trained.model.architecture,
        config={},
        concepts=trained.names,
        preprocessing=preprocessing_of(config.data),
        accepts=replace(ACCEPTS, background=trained.model.config.use_indication),
        decoding=trained.decoding,
        sha256={},
        training=training,
        metrics={},
        licence=config.data.licence,
    )


def publish(config: Config, trained: Trained) -> list[Evaluation]:
    """Write the checkpoint with its measured figures."""
    folder = config.run.output
    manifest = describe(config, trained)
    save_checkpoint(folder, manifest=manifest, model=trained.model, tokenizer=trained.tokenizer, card="")
    return write_figures(folder, config.data.folder, config.data.choice_split, form=config.data.form)


def write_figures(folder: Path, data: Path, split: str, *, form: str = "") -> list[Evaluation]:
    """Judge a checkpoint as anyone would load it, and write its manifest and card with the figures."""
    judged = load_checkpoint(folder)
    evaluations = evaluate(Captioner(judged, device="cpu", batch_size=32), data, split, form=form)
    final = replace(judged.manifest, metrics={**judged.manifest.metrics, split: stored_metrics(evaluations)})
    card = render_card(final, evaluations)
    save_checkpoint(folder, manifest=final, model=judged.model, tokenizer=judged.tokenizer, card=card)
    return evaluations
