"""The first stage, put together: encoder and concept head learn to see, once for all decoders of a configuration.

Legend: C channels of a backbone, M members, K concepts. With several members each learns alone, from a seed of its
own; then their channels are joined, and the joint head adds what each member's head says in units of its own
spread. What a member learnt is kept in the work folder under a key of its settings, so that trying another decoder
does not repeat it. Knows no words but as targets.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pipeline.manifest import load_manifest
from pipeline.models.concepts import ConceptHead
from pipeline.models.encoder import ViewEncoder
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import VIEWS
from training.checkpointing import write_state
from training.concepts import ConceptTask, Labelled, Seer, joined, predict
from training.config import Config
from training.datasets import Example, load_view
from training.distilled import DistilledConceptTask, teacher_key
from training.distribution import present_ranks
from training.features import Activations, Load, compute_activations
from training.loop import run
from training.material import Material, words_of
from training.mentor import Mentor
from training.sources.radiographs import Radiograph
from training.task import LoopSettings
from training.unlabelled import pretrain, pretraining_key

log = logging.getLogger(__name__)


def learn_to_see(config: Config, material: Material, model: ReportModel, mentor: Mentor | None = None) -> None:
    """Train encoder and head, or take over what an equal run learnt; no epochs: leave them as they are."""
    pretrained = pretrain(config, material, model)
    if config.concepts.epochs:
        seeds = range(config.concepts.seed, config.concepts.seed + config.encoder.members)
        mentor = mentor if config.distillation.concepts else None
        members = [_member(config, material, model, seed, pretrained=pretrained, mentor=mentor) for seed in seeds]
        join_members(model, members)
    elif pretrained:
        for layers in (model.encoder.layers, *model.encoder.others):
            layers.load_state_dict({key.removeprefix("layers."): value for key, value in pretrained.items()})


@torch.no_grad()
def join_members(model: ReportModel, members: Sequence[tuple[Seer, Tensor]]) -> None:
    """Fill a model from seers, each with its logits [choice, K] on the choice split."""
    count, own = len(members), model.head.state_dict()
    joint = {name: torch.zeros_like(value) for name, value in own.items()}
    for number, (seer, logits) in enumerate(members):
        backbone = model.encoder.others[number - 1] if number else model.encoder.layers
        backbone.load_state_dict(seer.encoder.layers.state_dict())
        unit = torch.ones(logits.shape[1]) if count == 1 else 1 / logits.std(0).clamp(min=1e-6)
        for name, value in seer.head.state_dict().items():
            said = value * (unit[:, None] if name.endswith("weight") else unit).to(value)
            if name.endswith("weight"):  # [K, 2C] of a member are two parts of [K, 2MC]: means, then maxima
                parts = joint[name].view(len(unit), 2, count, -1)
                parts[:, :, number] = said.view(len(unit), 2, -1)
            else:
                joint[name] += said
    model.head.load_state_dict(joint)


@torch.no_grad()
def take_over(seer: Seer, model: ReportModel, number: int) -> None:
    """Begin where a model's member is; its head is known alone only where it is the only one."""
    backbone = model.encoder.others[number - 1] if number else model.encoder.layers
    seer.encoder.layers.load_state_dict(backbone.state_dict())
    if not len(model.encoder.others):
        seer.head.load_state_dict(model.head.state_dict())


def views_of(example: Example, material: Material) -> tuple[Load | None, Load | None]:
    """How to read a study's views."""
    frontal, lateral = (
        None if file is None else partial(material.archive.pixels, file)
        for file in (example.frontal, example.lateral)
    )
    return frontal, lateral


def _member(
    config: Config,
    material: Material,
    model: ReportModel,
    seed: int,
    *,
    pretrained: Mapping[str, Tensor] | None,
    mentor: Mentor | None,
) -> tuple[Seer, Tensor]:
    """One seer, trained or taken over, and its logits on the choice split."""
    settings = config.concepts
    torch.manual_seed(seed)
    encoder = ViewEncoder(replace(config.encoder, members=1), settings.weights)
    head, words = (
        ConceptHead(encoder.channels, count, VIEWS, config.model.head_dropout)
        for count in (len(material.names), len(material.words))
    )
    seer = Seer(encoder, head, words, settings.frozen_blocks).to(model.device)
    if config.run.start_from:
        take_over(seer, model, seed - settings.seed)
    if pretrained:
        encoder.load_state_dict(pretrained)
    choice = _reported(config, material, seer, material.choice)
    kept = _kept(config, material, seed, mentor)
    if kept.exists():
        log.info("concepts: taken from %s", kept)
        seer.load_state_dict(torch.load(kept, weights_only=True))
    else:
        task = _task(config, material, seer, choice, mentor)
        loop = LoopSettings(
            epochs=settings.epochs,
            weight_decay=settings.weight_decay,
            average_decay=settings.average_decay or None,
            mixed_precision=config.run.mixed_precision,
        )
        run(task, loop, seed=seed, folder=kept.parent, name=kept.stem, facts={"settings": repr(settings)})
        if present_ranks().first:
            write_state(kept, seer.state_dict())
    return seer, predict(seer, choice.activations)


def _task(
    config: Config, material: Material, seer: Seer, choice: Labelled, mentor: Mentor | None
) -> ConceptTask | DistilledConceptTask:
    """What is learnt, with a teacher or without."""
    parts = [_reported(config, material, seer, material.seen)]
    if material.unreported:
        parts.append(_unreported(config, material, seer))
    plain = ConceptTask(
        seer=seer, train=joined(parts), choice=choice, names=material.names, config=config.concepts
    )
    if mentor is None:
        return plain
    views = [*(views_of(example, material) for example in material.seen), *_unreported_views(material)]
    return DistilledConceptTask(plain=plain, mentor=mentor, taught=mentor.judge(views), config=config.distillation)


def _kept(config: Config, material: Material, seed: int, mentor: Mentor | None) -> Path:
    encoder = replace(config.encoder, members=1)
    settings = (seed, config.data, encoder, replace(config.concepts, seed=0), config.model.head_dropout)
    start = load_manifest(config.run.start_from).weights_sha256 if config.run.start_from else ""
    more = (*pretraining_key(config), *teacher_key(mentor, config.distillation))
    key = repr((*settings, material.names, material.sha256, start, *more))
    return config.run.work / f"concepts-{hashlib.sha256(key.encode()).hexdigest()[:12]}.pt"


def _reported(config: Config, material: Material, seer: Seer, examples: list[Example]) -> Labelled:
    """Studies with reports: every concept is known."""
    copies = 1 if examples is material.choice else config.concepts.copies
    targets = material.targets(examples)
    words = torch.tensor([[float(word in held) for word in material.words] for held in map(words_of, examples)])
    return Labelled(
        ids=[example.study for example in examples],
        activations=_look(config, seer, [views_of(example, material) for example in examples], copies),
        targets=targets,
        known=torch.ones_like(targets),
        words=words.view(len(examples), -1),
        written=torch.tensor([[float(bool(e.findings or e.impression))] for e in examples]),
    )


def _labelled_radiographs(material: Material) -> list[Radiograph]:
    """Those without reports of which something is known."""
    return [radiograph for radiograph in material.unreported if radiograph.known]


def _unreported_views(material: Material) -> list[tuple[Load, None]]:
    """How to read them; they are taken for frontal views."""
    if material.radiographs is None:
        return []
    images, wanted = material.radiographs.images, material.preprocessing
    return [(partial(load_view, images, item.file, wanted), None) for item in _labelled_radiographs(material)]


def _unreported(config: Config, material: Material, seer: Seer) -> Labelled:
    """Radiographs without reports: some concepts known."""
    radiographs = _labelled_radiographs(material)
    return Labelled(
        ids=[radiograph.file for radiograph in radiographs],
        activations=_look(config, seer, _unreported_views(material), config.concepts.radiograph_copies),
        targets=torch.tensor([[float(name in item.labels) for name in material.names] for item in radiographs]),
        known=torch.tensor([[float(name in item.known) for name in material.names] for item in radiographs]),
        words=torch.zeros(len(radiographs), len(material.words)),
        written=torch.zeros(len(radiographs), 1),
    )


def _look(config: Config, seer: Seer, views: Sequence[Sequence[Load | None]], copies: int) -> Activations:
    """What the resting layers make of the views."""
    seer.eval()
    device = seer.head.absent.device

    def stem(pixels: Tensor) -> Tensor:
        return seer.encoder.stem(pixels.to(device), config.concepts.frozen_blocks)

    return compute_activations(views, stem, copies=copies, seed=config.concepts.seed)
