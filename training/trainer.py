"""From a configuration to a trained model: see, look, write. The stages are in modules of their own.

Every stage goes on where it was killed; what it learnt is kept in the work folder.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer

from pipeline import text
from pipeline.captioner import choose_device
from pipeline.checkpoint import load_checkpoint
from pipeline.manifest import DecodingSettings, Guidance
from pipeline.models.encoder import ViewEncoder
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import Shape
from training.config import Config
from training.looking import look
from training.material import Material, read_material
from training.mentor import Mentor, load_mentor
from training.seeing import learn_to_see
from training.warm_start import warm_start
from training.writing import Judge, learn_to_write


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The result, before it becomes files."""

    model: ReportModel
    tokenizer: Tokenizer
    names: tuple[str, ...]  # of the concepts
    decoding: DecodingSettings


def fit(config: Config) -> Trained:
    """Run all stages."""
    torch.set_num_threads(config.run.threads)
    torch.manual_seed(config.run.seed)
    material = read_material(config)
    mentor = _mentor(config, material)
    if mentor:
        material = replace(material, tokenizer=mentor.checkpoint.tokenizer)
    model = _new_model(config, material).to(choose_device("auto"))
    learn_to_see(config, material, model, mentor)
    seen = look(config, material, model)
    decoding = _decoding(config, material, model)
    judge = Judge(model=model, material=material, seen=seen, decoding=decoding)
    torch.manual_seed(config.run.seed)
    learn_to_write(config, material, seen, model, judge, mentor=mentor)
    return Trained(model=model.cpu(), tokenizer=material.tokenizer, names=material.names, decoding=decoding)


def _mentor(config: Config, material: Material) -> Mentor | None:
    name = config.distillation.teacher
    return load_mentor(name, material.names, material.preprocessing, choose_device("auto")) if name else None


def shape_of(config: Config, vocabulary: int, concepts: int, marks: tuple[int, ...] = ()) -> Shape:
    """The model's shape as the configuration wants it."""
    sizes = {key: value for key, value in asdict(config.model).items() if key != "architecture"}
    return Shape(vocabulary=vocabulary, concepts=concepts, encoder=config.encoder, marks=marks, **sizes)


def sentence_marks(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids after which a sentence begins, or a section ends."""
    return tuple(text.token_id(tokenizer, token) for token in (text.STOP, text.FINDINGS, text.IMPRESSION))


def _new_model(config: Config, material: Material) -> ReportModel:
    architecture = config.model.architecture
    marks = sentence_marks(material.tokenizer) if architecture == "hierarchical" else ()

    def build(vocabulary: int, concepts: int) -> ReportModel:
        return ReportModel(architecture, shape_of(config, vocabulary, concepts, marks))

    model = build(material.tokenizer.get_vocab_size(), len(material.names))
    if config.run.start_from:
        start = load_checkpoint(Path(config.run.start_from))
        tokenizer, names = material.tokenizer, material.names
        warm_start(model, start, architecture=architecture, tokenizer=tokenizer, concepts=names, build=build)
    elif config.concepts.weights:
        model.encoder = ViewEncoder(config.encoder, config.concepts.weights)
    return model


def _decoding(config: Config, material: Material, model: ReportModel) -> DecodingSettings:
    maps = model.evidence.T.tolist()
    guidance = Guidance(**asdict(config.guidance)) if config.guidance.rounds else None
    return DecodingSettings(
        beams=config.reports.beams,
        max_findings=config.reports.max_findings,
        max_impression=config.reports.max_impression,
        length_penalty=config.reports.length_penalty,
        block_trigrams=config.reports.block_trigrams,
        evidence={name: tuple(values) for name, values in zip(material.names, maps, strict=True)},
        guidance=guidance,
        conclude=config.reports.conclude,
    )
