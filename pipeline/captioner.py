"""Owns the device: studies in, one outcome per study out.

Batches as large as told; a batch that fails is run again in halves, down to the study that breaks, so that one
bad study never sinks its neighbours. A study that alone does not fit into memory is to be retried later; one that
fails alone otherwise is dead, with the reason. Studies without a view the model needs are skipped by name.
Assumes views of the size the model's preprocessing names. Knows no files and no SQL.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from math import isfinite
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pipeline.checkpoint import Checkpoint
from pipeline.decoding import Decoded
from pipeline.errors import UsageError
from pipeline.explain import Explainer
from pipeline.findings import extract
from pipeline.guidance import Basis, Drafter
from pipeline.manifest import REQUIRED
from pipeline.overlay import Overlay
from pipeline.study import Dead, Outcome, Pixels, Report, Reported, RetryLater, Skipped, Study
from pipeline.text import background_tokens, detokenize, split_sections
from pipeline.text import decode as decode_ids
from pipeline.text import encode as encode_ids

Device = Literal["auto", "cpu", "cuda"]


class Captioner:
    """A loaded model on a device."""

    device_name: str  # "cpu", or what the driver calls the GPU
    driver: str  # the CUDA version torch was built for; "" on a CPU
    dtype: str  # in which most arithmetic is done
    decoding: dict[str, Any]

    def __init__(self, checkpoint: Checkpoint, *, device: Device = "auto", batch_size: int = 32) -> None:
        if batch_size < 1:
            raise UsageError(f"batch size {batch_size} is not possible; use 1 or more")
        self.manifest = checkpoint.manifest
        self.batch_size = batch_size
        self.decoding = asdict(checkpoint.manifest.decoding)
        self._tokenizer = checkpoint.tokenizer
        self._device = choose_device(device)
        on_gpu = self._device.type == "cuda"
        self.device_name = torch.cuda.get_device_name(self._device) if on_gpu else "cpu"
        self.driver = str(torch.version.cuda or "") if on_gpu else ""
        self._type = _gpu_type() if on_gpu else torch.float32
        self.dtype = str(self._type).removeprefix("torch.")
        self._model = checkpoint.model.to(self._device).to(memory_format=torch.channels_last).eval()
        self._drafter = Drafter(
            model=self._model,
            tokenizer=checkpoint.tokenizer,
            ids=checkpoint.ids,
            concepts=checkpoint.manifest.concepts,
            how=checkpoint.manifest.decoding,
        )
        self._explainer = Explainer(self._model, checkpoint.manifest.concepts, checkpoint.tokenizer)

    @property
    def memory_meters(self) -> dict[str, Callable[[], float]]:
        """How to read the device's memory in bytes, `used` and `total`; {} on a CPU."""
        if self._device.type != "cuda":
            return {}
        device = self._device  # not self: whoever keeps a meter must not keep a model that was replaced
        return {
            "used": lambda: float(torch.cuda.memory_reserved(device)),
            "total": lambda: float(torch.cuda.mem_get_info(device)[1]),
        }

    def caption(self, studies: Sequence[Study]) -> list[Outcome]:
        """One outcome per study, in the order given."""
        outcomes: dict[int, Outcome] = {}
        accepted: list[tuple[int, Study]] = []
        for place, study in enumerate(studies):
            reason = self._refusal(study)
            if reason:
                outcomes[place] = Skipped(key=study.key, reason=reason)
            else:
                accepted.append((place, study))
        for start in range(0, len(accepted), self.batch_size):
            batch = accepted[start : start + self.batch_size]
            results = self._caption_or_halve([study for _, study in batch])
            outcomes |= {place: result for (place, _), result in zip(batch, results, strict=True)}
        return [outcomes[place] for place in range(len(studies))]

    def explain(self, study: Study, report: Report) -> list[Overlay]:
        """Where the model looked for each finding of a report on a study that it accepts; looks once more."""
        views, mask = self._load([study])
        return self._explainer.explain(views, mask, self._indications([study]), report)

    def _refusal(self, study: Study) -> str:
        accepts = self.manifest.accepts
        views = {"frontal": study.frontal, "lateral": study.lateral}
        held = [f"1 {name}" for name, pixels in views.items() if pixels is not None]
        for name, pixels in views.items():
            if pixels is None and (getattr(accepts, name) == REQUIRED or not held):
                has = " and ".join(held) or "no usable view"
                return f"{self.manifest.title} needs a {name} view; the study has {has}"
        return ""

    def _caption_or_halve(self, studies: list[Study]) -> list[Outcome]:
        try:
            return self._run(studies)
        except (torch.OutOfMemoryError, MemoryError) as error:
            outcome = self._no_memory(studies[0], error)
        except Exception as error:  # noqa: BLE001 - the boundary at which one study's failure becomes its outcome
            outcome = self._broken(studies[0], error)
        if len(studies) == 1:
            return [outcome]
        middle = len(studies) // 2
        return self._caption_or_halve(studies[:middle]) + self._caption_or_halve(studies[middle:])

    def _no_memory(self, study: Study, error: BaseException) -> Outcome:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return RetryLater(key=study.key, reason=f"out of memory on {self.device_name}: {_first_line(error)}")

    def _broken(self, study: Study, error: Exception) -> Outcome:
        if "can't allocate memory" in str(error):  # what torch's CPU allocator raises as a RuntimeError
            return self._no_memory(study, error)
        reason = f"{self.manifest.title} failed on this study alone: {type(error).__name__}: {_first_line(error)}"
        return Dead(key=study.key, reason=reason)

    def _run(self, studies: list[Study]) -> list[Outcome]:
        views, mask = self._load(studies)
        with torch.inference_mode(), self._precision():
            maps = self._model.see(views, mask)
            evidence = self._model.weigh(self._model.judge(maps, mask))
            basis = Basis(maps=maps, mask=mask, evidence=evidence, indication=self._indications(studies))
            decoded = self._drafter.draft(basis)
        told = self._model.believe(evidence).float().cpu().tolist()
        return [self._outcome(*parts) for parts in zip(studies, decoded, told, strict=True)]

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast("cuda", dtype=self._type) if self._device.type == "cuda" else nullcontext()

    def _load(self, studies: list[Study]) -> tuple[Tensor, Tensor]:
        """Views uint8 [B, 2, H, W] and which of them are there [B, 2], on the device."""
        wanted = self.manifest.preprocessing
        views = np.zeros((len(studies), 2, wanted.height, wanted.width), dtype=np.uint8)
        mask = np.zeros((len(studies), 2), dtype=np.bool_)
        for row, study in enumerate(studies):
            for view, pixels in enumerate((study.frontal, study.lateral)):
                if pixels is not None:
                    views[row, view] = _checked(pixels, wanted.height, wanted.width)
                    mask[row, view] = True
        return torch.from_numpy(views).to(self._device), torch.from_numpy(mask).to(self._device)

    def _indications(self, studies: list[Study]) -> Tensor:
        """Ids of what was known before the images [B, L], 0 where there is no word, on the device."""
        ids = [encode_ids(self._tokenizer, background_tokens(study.background)) for study in studies]
        longest = max(map(len, ids))
        return torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids], device=self._device).long()

    def _outcome(self, study: Study, decoded: Decoded, concepts: list[float]) -> Outcome:
        if not isfinite(decoded.confidence):
            reason = f"{self.manifest.title} gave a confidence of {decoded.confidence}: its figures overflowed"
            return Dead(key=study.key, reason=reason)
        sections = split_sections(decode_ids(self._tokenizer, decoded.tokens))
        findings, impression = (detokenize(words) for words in sections)
        report = Report(
            findings=findings,
            impression=impression,
            confidence=decoded.confidence,
            statements=extract(f"{findings}\n{impression}"),
            concepts=dict(zip(self.manifest.concepts, concepts, strict=True)),
        )
        return Reported(key=study.key, report=report)


def choose_device(device: Device) -> torch.device:
    """Take a GPU where there is one and it is wanted."""
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UsageError("device 'cuda' was asked for, but torch finds no GPU; use --device cpu or auto")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def _gpu_type() -> torch.dtype:
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def _checked(pixels: Pixels, height: int, width: int) -> Pixels:
    if pixels.shape != (height, width) or pixels.dtype != np.uint8:
        raise ValueError(f"a view is {pixels.dtype}{list(pixels.shape)}, the model needs uint8[{height}, {width}]")
    return pixels


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
