"""Pre-training, put together: every image of a configuration is learnt from, whatever is known of it.

The choice split's images judge. What the encoder learnt is kept in the work folder under a key of its settings;
the seeing stage begins with it. Assumes that all pixels fit into memory, a byte each: 12,000 images of 256×256
take 800 MB. Knows no labels.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pipeline.manifest import load_manifest
from pipeline.models.encoder import ViewEncoder
from pipeline.models.report_model import ReportModel
from pipeline.study import Preprocessing
from training.checkpointing import write_state
from training.config import Config
from training.datasets import Example, load_view
from training.distribution import present_ranks
from training.features import Load
from training.loop import run
from training.material import Material
from training.pretraining import Pictures, Pretrainer, PretrainingTask
from training.task import LoopSettings

log = logging.getLogger(__name__)


def pretrain(config: Config, material: Material, model: ReportModel) -> dict[str, Tensor] | None:
    """Weights of an encoder of one member that has seen all images; None where none are wanted.

    Begins where the model's first member is, if that came from a checkpoint.
    """
    settings = config.pretraining
    if not settings.epochs:
        return None
    torch.manual_seed(settings.seed)
    encoder = ViewEncoder(replace(config.encoder, members=1), config.concepts.weights)
    if config.run.start_from:
        encoder.layers.load_state_dict(model.encoder.layers.state_dict())
    kept = _kept(config)
    if kept.exists():
        log.info("pre-training: taken from %s", kept)
        encoder.load_state_dict(torch.load(kept, map_location="cpu", weights_only=True))
    else:
        pretrainer = Pretrainer(encoder, frozen_blocks=settings.frozen_blocks, width=settings.width)
        task = PretrainingTask(
            pretrainer=pretrainer.to(model.device),
            train=_pictures(all_images(material), material.preprocessing),
            choice=_pictures(_images_of(material.choice, material), material.preprocessing),
            config=settings,
            device=model.device,
        )
        loop = LoopSettings(
            epochs=settings.epochs,
            weight_decay=settings.weight_decay,
            mixed_precision=config.run.mixed_precision,
        )
        run(task, loop, seed=settings.seed, folder=kept.parent, name=kept.stem, facts={"settings": repr(settings)})
        ranks = present_ranks()
        if ranks.first:
            write_state(kept, encoder.state_dict())
        ranks.tell(None)  # the others wait for it
    return encoder.cpu().state_dict()


def pretraining_key(config: Config) -> tuple[object, ...]:
    """What the weights depend on; () where there is no pre-training, so that it changes no other key."""
    if not config.pretraining.epochs:
        return ()
    start = load_manifest(config.run.start_from).weights_sha256 if config.run.start_from else ""
    return (config.data, replace(config.encoder, members=1), config.concepts.weights, start, config.pretraining)


def _kept(config: Config) -> Path:
    digest = hashlib.sha256(repr(pretraining_key(config)).encode()).hexdigest()
    return config.run.work / f"pretrained-{digest[:12]}.pt"


def _images_of(examples: Sequence[Example], material: Material) -> list[tuple[str, Load]]:
    files = dict.fromkeys(file for e in examples for file in (e.frontal, e.lateral) if file)
    return [(file, partial(material.archive.pixels, file)) for file in files]


def all_images(material: Material) -> list[tuple[str, Load]]:
    """Of studies and of the radiographs without reports, but not those that judge."""
    chosen = {name for name, _ in _images_of(material.choice, material)}
    reported = [
        pair for pair in _images_of([*material.seen, *material.written], material) if pair[0] not in chosen
    ]
    if material.radiographs is None:
        return reported
    images, wanted = material.radiographs.images, material.preprocessing
    return [
        *reported,
        *((item.file, partial(load_view, images, item.file, wanted)) for item in material.unreported),
    ]


def _pictures(named: Sequence[tuple[str, Load]], wanted: Preprocessing) -> Pictures:
    pixels = torch.empty(len(named), wanted.height, wanted.width, dtype=torch.uint8)
    for place, (_, load) in enumerate(named):
        pixels.numpy()[place] = load()
    return Pictures(ids=[name for name, _ in named], pixels=pixels)
