"""Checkpoint folders without a model in them: files, hashes and manifest, for what never loads the weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.manifest import (
    CARD,
    FILES,
    FORMAT_VERSION,
    TOKENIZER,
    WEIGHTS,
    Accepts,
    DecodingSettings,
    Manifest,
    file_sha256,
    write_manifest,
)
from pipeline.study import Preprocessing

DECODING = DecodingSettings(
    beams=1, max_findings=9, max_impression=6, length_penalty=1.0, block_trigrams=True, evidence={}
)
MANIFEST = Manifest(
    format_version=FORMAT_VERSION,
    name="paper",
    version="1",
    device_uid="2.25.1",
    architecture="attention",
    config={},
    concepts=(),
    preprocessing=Preprocessing(height=32, width=32, fit="squash"),
    accepts=Accepts(modalities=("DX",), body_parts=("CHEST",), frontal="required", lateral="optional"),
    decoding=DECODING,
    sha256={},
    training={"data": "none", "git_commit": "abc"},
    metrics={},
    licence="none",
)


def write_manifest_alone(folder: Path, *, is_told: bool = True) -> Path:
    """A manifest without weights, for a captioner that is a stand-in; `is_told`: it reads the background."""
    folder.mkdir(parents=True, exist_ok=True)
    accepts = replace(MANIFEST.accepts, background=is_told)
    views = replace(MANIFEST.preprocessing, height=64, width=64)
    sha256 = dict.fromkeys(FILES, "0" * 64)
    write_manifest(folder, replace(MANIFEST, name="stand-in", accepts=accepts, preprocessing=views, sha256=sha256))
    return folder


def figures(**changed: float) -> dict[str, Any]:
    """Metrics of a model on the split `val`, as evaluation writes them."""
    values = {"CIDEr": 0.4, "macro F1 problems": 0.3, "AUROC abnormal": 0.85, "distinct texts": 90, "studies": 296}
    named = {name.replace("_", " "): value for name, value in changed.items()}
    labels = {"Cardiomegaly": {"cases": 40, "precision": 0.5, "recall": 0.6, "f1": 0.5}}
    model = {**values, **named}
    return {"val": {"model": model, "intervals": {"CIDEr": [0.35, 0.46]}, "labels": labels, "constant": values}}


def write_checkpoint(folder: Path, *, weights: str = "weights", card: str = "# A card\n", **changes: Any) -> Path:
    """A whole checkpoint; `changes` are fields of its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {WEIGHTS: weights, TOKENIZER: "tokenizer", CARD: card}
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    sha256 = {name: file_sha256(folder / name) for name in contents}
    write_manifest(folder, replace(MANIFEST, sha256=sha256, **changes))
    return folder
