"""Whether a checkpoint's weights fit a model that is to be trained on from them.

The same architecture, the same sizes: what may differ is how many words and concepts there are, since those are
carried over by name, and how much is dropped out while learning. Reads the manifest and the tokenizer, not the
weights; whether these are whole is found when they are loaded.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pipeline.errors import NightreadError
from pipeline.manifest import FILES, TOKENIZER, Manifest, file_sha256, load_manifest
from training.problem_list import Problem

FREE = frozenset({"vocabulary", "concepts", "dropout", "head_dropout"})


def checkpoint_problems(folder: Path, *, architecture: str, shape: Mapping[str, Any]) -> list[Problem]:
    """What keeps the checkpoint in a folder from being where a model of this architecture and shape begins."""
    try:
        manifest = load_manifest(folder)
    except NightreadError as error:
        return [Problem(kind="[run] start_from names no checkpoint", place=str(error))]
    if manifest.architecture != architecture:
        kind = f"[run] start_from is of another architecture than {architecture!r}; start from one of the same"
        return [Problem(kind=kind, place=f"{folder} ({manifest.architecture!r})")]
    return [*_sizes(manifest, shape), *_files(folder, manifest)]


def _sizes(manifest: Manifest, shape: Mapping[str, Any]) -> Iterable[Problem]:
    there, wanted = _flat(manifest.config), _flat(shape)
    kind = f"{manifest.title} (start_from) has another shape than the configuration; set these as they are there"
    for key in there.keys() & wanted.keys() - FREE:
        if there[key] != wanted[key]:
            yield Problem(kind=kind, place=f"{key} is {there[key]!r}, not {wanted[key]!r}")


def _flat(shape: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in shape.items():
        flat |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, Mapping) else {key: value}
    return flat


def _files(folder: Path, manifest: Manifest) -> Iterable[Problem]:
    kind = f"the files of {manifest.title} (start_from) are not those its manifest tells of; copy it again"
    for name in FILES:
        path = folder / name
        if not path.is_file() or file_sha256(path) != manifest.sha256[name]:
            yield Problem(kind=kind, place=name)
            return
    words = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab_size()
    if words != manifest.config.get("vocabulary", words):
        yield Problem(kind=kind, place=f"{TOKENIZER} has {words} words, the model {manifest.config['vocabulary']}")
