"""One trial of a search or an ablation: train a configuration, judge its checkpoint on the choice split, time it.

Quality is CIDEr plus macro F1 against the coded problems: neither alone, since each can be had without the other.
Latency is what a captioner takes for a study of a batch, with the views at hand.
"""

from pathlib import Path

import torch

from pipeline.captioner import Captioner
from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.errors import NightreadError
from training.config import Config, read_config
from training.datasets import Example, ImageArchive, read_examples
from training.drafts import model_drafts
from training.evaluate import judge
from training.latency import measure_latency
from training.publish import describe
from training.scores import R2GenProtocol, Scores
from training.trainer import fit
from training.tune import Measured

BATCH = 16  # studies


def run_trial(path: Path) -> Measured:
    """Train, judge and time one configuration."""
    config = read_config(path)
    try:
        captioner, examples = _captioner(config), _examples(config)
        archive = ImageArchive(config.data.folder, captioner.manifest.preprocessing, config.data.form)
        latency = measure_latency(captioner, examples, archive)[-1]
        figures = _figures(config, captioner, examples)
        quality = figures["CIDEr"] + figures["macro F1 problems"]
        return Measured(quality=quality, latency=latency.median)
    except torch.OutOfMemoryError as error:
        raise NightreadError(f"the device has no memory for {path}: {error}") from error


def measure_figures(config: Config) -> Scores:
    """Train and judge one configuration: every figure but METEOR's."""
    return _figures(config, _captioner(config), _examples(config))


def _examples(config: Config) -> list[Example]:
    found = read_examples(config.data.folder, config.data.choice_split, form=config.data.form)
    return [item for item in found if item.findings]


def _captioner(config: Config) -> Captioner:
    """Trained, written and read as anyone would."""
    trained, folder = fit(config), config.run.output
    manifest = describe(config, trained)
    save_checkpoint(folder, manifest=manifest, model=trained.model, tokenizer=trained.tokenizer, card="")
    return Captioner(load_checkpoint(folder), device="auto", batch_size=BATCH)


def _figures(config: Config, captioner: Captioner, examples: list[Example]) -> Scores:
    train = read_examples(config.data.folder, "train", form=config.data.form)
    protocol = R2GenProtocol.from_train([example.findings for example in train])
    drafts, _ = model_drafts(captioner, examples, config.data.folder, form=config.data.form)
    return judge(config.run.name, drafts, examples, protocol, meteor=False).summary
