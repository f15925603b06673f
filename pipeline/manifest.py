"""A checkpoint's manifest: what a model is, what it accepts, how it was made; torch-free.

A checkpoint is a folder with `model.safetensors`, `tokenizer.json`, `MODEL_CARD.md` and `manifest.json`. The
manifest is written last: if it is there, the checkpoint is whole. It holds the SHA-256 of the other files.
Reading is strict: a defect is one `CheckpointError` that names what, the value and the remedy. Does not read the
weights; see `pipeline.checkpoint`.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import CheckpointError, UsageError
from pipeline.study import Preprocessing

FORMAT_VERSION = 2
CHECKPOINTS = Path(__file__).resolve().parent / "checkpoints"  # the models that come with the code
MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
CARD = "MODEL_CARD.md"
FILES = (WEIGHTS, TOKENIZER, CARD)
REQUIRED, OPTIONAL = "required", "optional"
RESTORE = "copy the checkpoint again from where it was published"
_UID = re.compile(r"2\.25\.(0|[1-9]\d{0,38})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepts:
    """What a model may be given; anything else is skipped by name."""

    modalities: tuple[str, ...]  # DICOM Modality
    body_parts: tuple[str, ...]  # DICOM BodyPartExamined; "" stands for "not said"
    frontal: str  # "required" or "optional"
    lateral: str  # "required" or "optional"
    background: bool = True  # whether it is told indication, age and sex, where they are known


@dataclass(frozen=True, kw_only=True, slots=True)
class Guidance:
    """How it is decided what a draft tells (`pipeline.guidance`)."""

    weight: float  # of the problems that it names, beside the mean log-probability of its words
    even: float  # probability of a problem from which naming it pays
    tried: int  # problems a study and round
    rounds: int
    edits: bool = False  # whether a draft is also tried with one sentence more or less


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingSettings:
    """How reports are searched; part of their provenance."""

    beams: int
    max_findings: int  # tokens
    max_impression: int  # tokens
    length_penalty: float  # score = sum of log-probabilities / length ** penalty
    block_trigrams: bool  # no word twice in a row, no three words twice in one section
    evidence: dict[str, tuple[float, float, float]]  # concept -> scale, offset and prior of its head's logit
    guidance: Guidance | None = None  # none: the likeliest words under the evidence as it is
    conclude: float = 1.0  # probability of a problem above which the impression repeats a finding of it; 1: never


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Everything about a model but its weights."""

    format_version: int
    name: str
    version: str
    device_uid: str  # a DICOM UID under 2.25, for objects that name the device that made them
    architecture: str  # a key of pipeline.models.report_model.DECODERS
    config: dict[str, Any]  # of the architecture
    concepts: tuple[str, ...]  # what the concept head tells, in its order
    preprocessing: Preprocessing
    accepts: Accepts
    decoding: DecodingSettings
    sha256: dict[str, str]  # file -> hex digest
    training: dict[str, Any]  # data, splits, git commit, seed, configuration hash
    metrics: dict[str, Any]
    licence: str

    @property
    def title(self) -> str:
        """The model's name and version, for a person."""
        return f"{self.name} {self.version}"

    @property
    def weights_sha256(self) -> str:
        """Hex digest of the weights: what makes two models the same."""
        return self.sha256[WEIGHTS]


def shipped_checkpoints() -> dict[str, Path]:
    """The checkpoints that come with this release, by the name of their folder."""
    return {path.parent.name: path.parent for path in sorted(CHECKPOINTS.glob(f"*/{MANIFEST}"))}


def find_checkpoint(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint: one that comes with this release, by name, or a folder by its path.

    Raises:
        UsageError: It is neither.
    """
    shipped = shipped_checkpoints()
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    if not Path(name_or_path).is_dir():
        known = f"one of {', '.join(shipped)}" if shipped else "one that comes with a release; this one has none"
        raise UsageError(f"there is no model {str(name_or_path)!r}; name a checkpoint's folder or {known}")
    return Path(name_or_path)


def canonical_sha256(value: dict[str, Any]) -> str:
    """SHA-256 of a value's canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def preprocessing_sha256(preprocessing: Preprocessing) -> str:
    """SHA-256 of the canonical JSON: equal settings give equal views from equal bytes."""
    return canonical_sha256(asdict(preprocessing))


def decoding_sha256(decoding: DecodingSettings) -> str:
    """SHA-256 of the canonical JSON: equal settings give equal reports from equal views and weights."""
    return canonical_sha256(asdict(decoding))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, whole or not at all. Call it last."""
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(asdict(manifest), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)


def load_manifest(folder: Path) -> Manifest:
    """Read and check a manifest, without reading the weights."""
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {folder}: {MANIFEST} is missing; name the folder that holds it")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; {RESTORE}") from error
    manifest = _parse(raw, path)
    _check(manifest, path)
    return manifest


def _parse(raw: Any, path: Path) -> Manifest:
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version!r}, this release reads {FORMAT_VERSION}; "
            "use a release that fits the checkpoint, or export the checkpoint again"
        )
    try:
        return Manifest(**{**raw, **_typed(raw)})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a complete manifest: {error}; {RESTORE}") from error


def _typed(raw: dict[str, Any]) -> dict[str, Any]:
    accepts: dict[str, Any] = raw["accepts"]
    accepts = {key: tuple(value) if isinstance(value, list) else value for key, value in accepts.items()}
    return {
        "concepts": tuple(raw["concepts"]),
        "preprocessing": Preprocessing(**raw["preprocessing"]),
        "accepts": Accepts(**accepts),
        "decoding": _decoding(raw["decoding"]),
    }


def _decoding(raw: dict[str, Any]) -> DecodingSettings:
    maps = {
        name: (float(scale), float(offset), float(prior))
        for name, (scale, offset, prior) in raw["evidence"].items()
    }
    guidance = Guidance(**raw["guidance"]) if raw.get("guidance") else None
    return DecodingSettings(**{**raw, "evidence": maps, "guidance": guidance})


def _check(manifest: Manifest, path: Path) -> None:
    if not _UID.fullmatch(manifest.device_uid):
        raise CheckpointError(f"{path} has device_uid {manifest.device_uid!r}, not a UID under 2.25.; {RESTORE}")
    wanted = manifest.preprocessing
    if wanted.fit not in ("squash", "letterbox") or wanted.resampling not in ("bilinear", "box"):
        raise CheckpointError(f"{path} asks for views by {wanted.fit!r} and {wanted.resampling!r}; {RESTORE}")
    for view in ("frontal", "lateral"):
        need = getattr(manifest.accepts, view)
        if need not in (REQUIRED, OPTIONAL):
            raise CheckpointError(
                f"{path} accepts a {view} view {need!r}, not 'required' or 'optional'; {RESTORE}"
            )
    for name in FILES:
        if name not in manifest.sha256:
            raise CheckpointError(f"{path} has no sha256 of {name!r}; {RESTORE}")
