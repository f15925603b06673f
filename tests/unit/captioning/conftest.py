"""A tiny random model with a real checkpoint's parts, made once."""

from pathlib import Path

import pytest
import torch

from pipeline.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pipeline.manifest import FORMAT_VERSION, Accepts, DecodingSettings, Manifest
from pipeline.models.attention import AttentionConfig, AttentionModel
from pipeline.models.encoder import EncoderConfig
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
            thresholds=dict.fromkeys(CONCEPTS, 0.5),
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
    shape = AttentionConfig(
        vocabulary=tokenizer.get_vocab_size(),
        concepts=len(CONCEPTS),
        encoder=EncoderConfig(backbone="squeezenet1_1"),
        grid=2,
        width=16,
        attention=8,
        hidden=24,
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    model = AttentionModel(shape)
    save_checkpoint(folder, manifest=tiny_manifest(), model=model, tokenizer=tokenizer, card="# tiny\n")
    return folder


@pytest.fixture
def checkpoint(saved: Path) -> Checkpoint:
    return load_checkpoint(saved)
