"""A tiny random model with a real checkpoint's parts, and made-up studies to learn from; each made once."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pipeline.manifest import FORMAT_VERSION, Accepts, DecodingSettings, Manifest
from pipeline.models.encoder import EncoderConfig
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import Shape
from pipeline.study import Preprocessing
from pipeline.text import build_tokenizer, report_tokens

SENTENCES = (
    "heart size is normal",
    "the lungs are clear",
    "no pleural effusion , or pneumothorax",
    "mild cardiomegaly",
)
CONCEPTS = ("abnormal", "Cardiomegaly")


def tiny_manifest() -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        name="tiny",
        version="7",
        device_uid="2.25.1",
        architecture="attention",
        config={},
        concepts=CONCEPTS,
        preprocessing=Preprocessing(height=64, width=64, fit="squash"),
        accepts=Accepts(modalities=("DX",), body_parts=("", "CHEST"), frontal="required", lateral="optional"),
        decoding=DecodingSettings(
            beams=2,
            max_findings=9,
            max_impression=6,
            length_penalty=1.0,
            block_trigrams=True,
            evidence=dict.fromkeys(CONCEPTS, (1.0, 0.0, 0.0)),
        ),
        sha256={},
        training={"data": "none"},
        metrics={},
        licence="none",
    )


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny models are slower on several threads, and far slower where other work shares the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder; copy it before changing it."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer([report_tokens(SENTENCES, SENTENCES[:1])], 1)
    shape = Shape(
        vocabulary=tokenizer.get_vocab_size(),
        concepts=len(CONCEPTS),
        encoder=EncoderConfig(backbone="squeezenet1_1"),
        grid=2,
        width=16,
        hidden=24,
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    model = ReportModel("attention", shape)
    save_checkpoint(folder, manifest=tiny_manifest(), model=model, tokenizer=tokenizer, card="# tiny\n")
    return folder


@pytest.fixture
def checkpoint(saved: Path) -> Checkpoint:
    return load_checkpoint(saved)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight made-up studies: bright ones have an opacity."""
    folder = tmp_path_factory.mktemp("data")
    studies, random = [], np.random.default_rng(0)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for number in range(8):
            opaque = number % 2 == 1
            images = [{"file": f"{number}-{view}.png", "view": view} for view in ("frontal", "lateral")]
            for image in images[: 1 if number == 6 else 2]:
                grey = random.integers(0, 60, (64, 64)) + (150 if opaque else 20)
                buffer = io.BytesIO()
                Image.fromarray(grey.astype(np.uint8)).save(buffer, "PNG")
                archive.writestr(f"images/{image['file']}", buffer.getvalue())
            studies.append({
                "study": f"S{number}", "split": "val" if number > 5 else "train",
                "images": images[: 1 if number == 6 else 2], "r2gen_pair": [],
                "findings": "The lungs are clear. There is an opacity." if opaque else "The lungs are clear.",
                "impression": "Opacity present." if opaque else "No acute disease.",
                "mesh": ["Opacity/lung/base/left"] if opaque else ["normal"],
                "problems": ["Opacity"] if opaque else ["normal"],
            })  # fmt: skip
    (folder / "studies.json").write_text(json.dumps(studies))
    return folder
