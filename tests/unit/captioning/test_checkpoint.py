import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.checkpoint import load_checkpoint
from pipeline.errors import CheckpointError
from pipeline.manifest import (
    MANIFEST,
    TOKENIZER,
    WEIGHTS,
    decoding_sha256,
    file_sha256,
    load_manifest,
    preprocessing_sha256,
)
from pipeline.study import Preprocessing


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def rewrite_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS)
    edit(folder, lambda raw: raw["sha256"].update({WEIGHTS: file_sha256(folder / WEIGHTS)}))


def test_a_checkpoint_comes_back_as_it_was_saved(saved: Path) -> None:
    first, second = load_checkpoint(saved), load_checkpoint(saved)
    assert first.manifest == second.manifest == load_manifest(saved)
    assert first.manifest.title == "tiny 7"
    assert first.model.evidence.tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    state = second.model.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in first.model.state_dict().items())


DEFECTS: list[tuple[Callable[[Path], object], str]] = [
    (shutil.rmtree, "manifest.json is missing; name the folder"),
    (lambda f: (f / MANIFEST).unlink(), "manifest.json is missing"),
    (lambda f: (f / MANIFEST).write_text("{"), "manifest.json cannot be read"),
    (lambda f: (f / MANIFEST).write_text("[]"), "format version None"),
    (lambda f: edit(f, lambda m: m.update(format_version=99)), "format version 99, this release reads 2"),
    (lambda f: edit(f, lambda m: m.pop("accepts")), "not a complete manifest: 'accepts'"),
    (lambda f: edit(f, lambda m: m.update(colour="red")), "not a complete manifest.*colour"),
    (lambda f: edit(f, lambda m: m["accepts"].update(frontal="maybe")), "frontal view 'maybe'"),
    (lambda f: edit(f, lambda m: m.update(device_uid="1.2.3")), "device_uid '1.2.3'"),
    (lambda f: edit(f, lambda m: m["sha256"].pop(WEIGHTS)), "no sha256 of 'model.safetensors'"),
    (lambda f: edit(f, lambda m: m.update(architecture="oracle")), "architecture 'oracle', this release knows"),
    (lambda f: edit(f, lambda m: m["config"].pop("vocabulary")), "config in the manifest .*vocabulary"),
    (
        lambda f: edit(f, lambda m: m["decoding"]["evidence"].pop("abnormal")),
        "no evidence for concept 'abnormal'",
    ),
    (lambda f: (f / WEIGHTS).unlink(), "model.safetensors is missing"),
    (lambda f: (f / WEIGHTS).write_bytes(b"x"), "model.safetensors has sha256 2d711642b726…, its manifest says"),
    (lambda f: (f / TOKENIZER).write_text("{}"), "tokenizer.json has sha256"),
    (lambda f: (f / "MODEL_CARD.md").write_text("safe"), "MODEL_CARD.md has sha256"),
    (lambda f: rewrite_weights(f, lambda s: s.pop("memory.places")), "lacks tensor 'memory.places'"),
    (lambda f: rewrite_weights(f, lambda s: s.update(more=torch.ones(1))), "holds an unknown tensor 'more'"),
    (
        lambda f: rewrite_weights(f, lambda s: s.update(**{"memory.places": torch.ones(1)})),
        r"'memory.places' of shape \[1\]",
    ),
]


@pytest.mark.parametrize(("damage", "message"), DEFECTS, ids=[message for _, message in DEFECTS])
def test_a_defect_is_one_clear_line(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_settings_have_one_hash_whatever_their_order(saved: Path) -> None:
    decoding = load_manifest(saved).decoding
    turned = replace(decoding, evidence=dict(reversed(decoding.evidence.items())))
    assert decoding_sha256(decoding) == decoding_sha256(turned) != decoding_sha256(replace(decoding, beams=5))
    size = Preprocessing(height=1, width=2, fit="squash")
    assert preprocessing_sha256(size) != preprocessing_sha256(replace(size, fit="letterbox"))
