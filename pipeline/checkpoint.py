"""Load and save a model with its weights, strictly: all of it and nothing else, or one clear `CheckpointError`.

The files and the manifest are told in `pipeline.manifest`, the architectures in `pipeline.models.report_model`.
Weights may be stored in half precision; they are computed with in single precision unless a
device says otherwise. Assumes trust in nothing: checksums first, and no file format that can run code.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

from pipeline import text
from pipeline.decoding import Tokens
from pipeline.errors import CheckpointError
from pipeline.manifest import CARD, FILES, RESTORE, TOKENIZER, WEIGHTS, Manifest, file_sha256, load_manifest
from pipeline.manifest import write_manifest as write_manifest_last
from pipeline.models.encoder import EncoderConfig
from pipeline.models.report_model import DECODERS, ReportModel
from pipeline.models.shape import Shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A model that is ready to be moved to a device."""

    manifest: Manifest
    model: ReportModel
    tokenizer: Tokenizer
    ids: Tokens


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; every defect is a CheckpointError."""
    manifest = load_manifest(folder)
    for name in FILES:
        _verify(folder / name, manifest.sha256[name])
    model = _build(manifest, folder)
    _fill(model, folder / WEIGHTS)
    model.calibrate(_evidence(manifest, folder))
    tokenizer = _tokenizer(folder / TOKENIZER)
    if tokenizer.get_vocab_size() != model.config.vocabulary:
        raise CheckpointError(
            f"{folder / TOKENIZER} has {tokenizer.get_vocab_size()} tokens, "
            f"the model {model.config.vocabulary}; {RESTORE}"
        )
    return Checkpoint(manifest=manifest, model=model.eval(), tokenizer=tokenizer, ids=special_tokens(tokenizer))


def _evidence(manifest: Manifest, folder: Path) -> torch.Tensor:
    for name in manifest.concepts:
        if name not in manifest.decoding.evidence:
            raise CheckpointError(f"the manifest in {folder} has no evidence for concept {name!r}; {RESTORE}")
    return torch.tensor([manifest.decoding.evidence[name] for name in manifest.concepts]).view(-1, 3).T


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; {RESTORE}")
    found = file_sha256(path)
    if found != expected:
        raise CheckpointError(f"{path} has sha256 {found[:12]}…, its manifest says {expected[:12]}…; {RESTORE}")


def _build(manifest: Manifest, folder: Path) -> ReportModel:
    if manifest.architecture not in DECODERS:
        raise CheckpointError(
            f"the checkpoint in {folder} has architecture {manifest.architecture!r}, "
            f"this release knows {', '.join(DECODERS)}; use a release that fits the checkpoint"
        )
    try:
        return ReportModel(manifest.architecture, parse_shape(manifest.config))
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"the config in the manifest of {folder} does not fit: {error}; {RESTORE}"
        ) from error


def parse_shape(config: dict[str, Any]) -> Shape:
    """A manifest's `config` as a shape."""
    encoder, marks = EncoderConfig(**config["encoder"]), tuple(config.get("marks", ()))
    return Shape(**{**config, "encoder": encoder, "marks": marks})


def _fill(model: nn.Module, path: Path) -> None:
    try:
        state = {key: _widen(value) for key, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; {RESTORE}") from error
    own = model.state_dict()
    for key in sorted(own.keys() ^ state.keys()):
        where = "lacks" if key in own else "holds an unknown"
        raise CheckpointError(f"{path} {where} tensor {key!r}: its weights are another model's; {RESTORE}")
    for key, value in own.items():
        if value.shape != state[key].shape:
            shapes = f"{list(state[key].shape)}, the model needs {list(value.shape)}"
            raise CheckpointError(f"{path} has tensor {key!r} of shape {shapes}; {RESTORE}")
    model.load_state_dict(state)


def _widen(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.is_floating_point() else value


def _tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = text.load_tokenizer(path)
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"{path} cannot be read: {error}; {RESTORE}") from error
    for token in (*text.SPECIAL, text.STOP):
        if tokenizer.token_to_id(token) is None:
            raise CheckpointError(f"{path} lacks the token {token!r}; {RESTORE}")
    return tokenizer


def special_tokens(tokenizer: Tokenizer) -> Tokens:
    """The ids that a report's form is made of."""
    return Tokens(
        pad=text.token_id(tokenizer, text.PAD),
        bos=text.token_id(tokenizer, text.BOS),
        eos=text.token_id(tokenizer, text.EOS),
        unk=text.token_id(tokenizer, text.UNK),
        findings=text.token_id(tokenizer, text.FINDINGS),
        impression=text.token_id(tokenizer, text.IMPRESSION),
        stop=text.token_id(tokenizer, text.STOP),
    )


def save_checkpoint(
    folder: Path, *, manifest: Manifest, model: ReportModel, tokenizer: Tokenizer, card: str
) -> Manifest:
    """Write all files, the manifest last, with config and checksums filled in; return it as written."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: _narrow(value) for key, value in model.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    tokenizer.save(str(folder / TOKENIZER))
    (folder / CARD).write_text(card, encoding="utf-8")
    checksums = {name: file_sha256(folder / name) for name in FILES}
    complete = replace(manifest, architecture=model.architecture, config=asdict(model.config), sha256=checksums)
    write_manifest_last(folder, complete)
    return complete


def _narrow(value: torch.Tensor) -> torch.Tensor:
    return (value.half() if value.is_floating_point() else value).contiguous().clone()
