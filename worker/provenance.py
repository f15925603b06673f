"""From a manifest and a loaded model to the facts that the database keeps of them."""

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from db.records import InferenceRunFact, ModelVersionFact
from pipeline.manifest import (
    TOKENIZER,
    Manifest,
    canonical_sha256,
    decoding_sha256,
    preprocessing_sha256,
)
from worker.code_version import code_version

if TYPE_CHECKING:
    from pipeline.captioner import Captioner


def model_fact(manifest: Manifest) -> ModelVersionFact:
    """The model version that the manifest describes."""
    return ModelVersionFact(
        name=manifest.name,
        version=manifest.version,
        device_uid=manifest.device_uid,
        architecture=manifest.architecture,
        weights_sha256=manifest.weights_sha256,
        tokenizer_sha256=manifest.sha256[TOKENIZER],
        preprocessing_sha256=preprocessing_sha256(manifest.preprocessing),
        training_manifest_sha256=canonical_sha256(manifest.training),
        git_commit=str(manifest.training.get("git_commit", "")),
        metrics=finite(manifest.metrics),
        license=manifest.licence,
    )


def finite(value: Any) -> Any:
    """The value with None for what is no finite number: JSON has no word for that, and PostgreSQL refuses one."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def run_fact(
    captioner: "Captioner", *, model_version_id: int, worker: str, batch_size: int, trigger: str
) -> InferenceRunFact:
    """The circumstances of a run that starts now on this machine."""
    import torch  # noqa: PLC0415

    return InferenceRunFact(
        model_version_id=model_version_id,
        worker=worker,
        device=captioner.device_name,
        driver=captioner.driver,
        torch_version=torch.__version__,
        dtype=captioner.dtype,
        batch_size=batch_size,
        decoding=captioner.decoding,
        decoding_sha256=decoding_sha256(captioner.manifest.decoding),
        code_version=code_version(),
        trigger=trigger,
    )
