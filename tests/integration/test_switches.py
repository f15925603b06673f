"""Switches of a training that units cannot show: whole trainings of seconds, one from the other's checkpoint."""

from pathlib import Path

import torch

from pipeline.captioner import Captioner
from pipeline.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pipeline.study import Reported
from tests.unit.sources.folders import record, write_indiana
from training.check import require_sound
from training.config import read_config
from training.datasets import ImageArchive, read_examples
from training.publish import describe
from training.trainer import fit

CONFIG = """
[run]
name = "{name}"
version = "1"
output = "{folder}/{name}"
work = "{folder}/runs"
threads = 1
[data]
folder = "{folder}"
source = "ours"
licence = "ours"
concept_splits = ["train"]
report_splits = ["train"]
min_concept_count = 1
min_word_count = 1
height = 64
width = 64
[encoder]
backbone = "squeezenet1_1"
[concepts]
frozen_blocks = 11
epochs = 1
copies = 1
[reports]
epochs = 1
copies = 1
max_findings = 9
max_impression = 6
[model]
width = 16
hidden = 12
grid = 2
"""


def train(folder: Path, name: str, rest: str, base: str = CONFIG) -> Checkpoint:
    path = folder / f"{name}.toml"
    path.write_text(base.format(name=name, folder=folder) + rest.format(folder=folder))
    require_sound(path)
    config = read_config(path)
    trained = fit(config)
    manifest = describe(config, trained)
    save_checkpoint(
        config.run.output, manifest=manifest, model=trained.model, tokenizer=trained.tokenizer, card=""
    )
    return load_checkpoint(config.run.output)


def test_a_planner_is_pretrained_and_then_teaches(tmp_path: Path) -> None:
    write_indiana(tmp_path, [record(number) for number in range(8)])
    pretraining = "[pretraining]\nepochs = 1\nfrozen_blocks = 11\nwidth = 8\nbatch_size = 4\n"
    teacher = train(tmp_path, "teacher", f'architecture = "hierarchical"\n{pretraining}')
    assert len(list((tmp_path / "runs").glob("pretrained-*.pt"))) == 1
    assert set(teacher.model.config.marks) == {teacher.ids.stop, teacher.ids.findings, teacher.ids.impression}
    examples = read_examples(tmp_path, "val")
    archive = ImageArchive(tmp_path, teacher.manifest.preprocessing)
    studies = [archive.study(example, number) for number, example in enumerate(examples)]
    outcomes = Captioner(teacher, device="cpu").caption(studies)
    assert all(isinstance(outcome, Reported) and outcome.report.findings for outcome in outcomes)

    distillation = '[distillation]\nteacher = "{folder}/teacher"\nconcepts = 0.5\ndrafts = 0.5\n'
    student = train(tmp_path, "student", f'architecture = "encoder-decoder"\nuse_image = false\n{distillation}')
    assert student.tokenizer.get_vocab() == teacher.tokenizer.get_vocab()
    assert len(list((tmp_path / "runs").glob("concepts-*.pt"))) == 2, "what was seen with a teacher is kept apart"
    before = [value.clone() for value in student.model.state_dict().values()]
    alone = train(tmp_path, "alone", 'architecture = "encoder-decoder"\nuse_image = false\n')
    after = alone.model.state_dict().values()
    assert not all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_guided_model_is_taught_to_say_what_it_is_told_and_what_to_expect(tmp_path: Path) -> None:
    write_indiana(tmp_path, [record(number) for number in range(8)])
    rest = """
use_beliefs = true
use_image = false
[rewards]
least_cases = 1
[guidance]
rounds = 2
even = 0.01
weight = 50.0
"""
    reports = CONFIG.replace(
        "[reports]\n", '[reports]\ntargets = "consensus"\nsure = 0.5\nplan_epochs = 1\nconclude = 0.01\n'
    )
    kept = train(tmp_path, "guided", rest, reports)
    assert kept.manifest.decoding.guidance is not None
    assert kept.manifest.decoding.guidance.rounds == 2
    assert kept.manifest.decoding.conclude == 0.01
    assert kept.model.config.use_beliefs
    assert bool(kept.model.beliefs.weight.any())
    archive = ImageArchive(tmp_path, kept.manifest.preprocessing)
    studies = [archive.study(example, key) for key, example in enumerate(read_examples(tmp_path, "val"))]
    outcomes = Captioner(kept, device="cpu").caption(studies)
    assert studies
    assert all(isinstance(outcome, Reported) for outcome in outcomes)
