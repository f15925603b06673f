"""A model trained from nothing on phantoms, by the command that anyone uses: it must look in order to tell.

Each finding shows in the images; no text tells of another. So a model that names what is there has learnt to
see and to write, and one that is shown other studies' images must be wrong. Says nothing about real radiographs.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.captioner import Captioner
from pipeline.checkpoint import load_checkpoint
from tests.phantom_data import TOLD, exchange_images, write_phantoms
from training.clinical import clinical_scores, named_labels
from training.datasets import read_examples
from training.drafts import model_drafts

ROOT = Path(__file__).resolve().parents[2]
STUDIES = {"train": 300, "val": 60, "test": 60}
SIZE = 64  # pixels
CONFIG = """
[run]
name = "smoke"
version = "1"
output = "{folder}/smoke-1"
work = "{folder}/runs"

[data]
folder = "{folder}/phantoms"
source = "Phantoms: no patient was ever in them."
licence = "None is needed."
concept_splits = ["train"]
report_splits = ["train"]
height = 64
width = 64
min_concept_count = 10
min_word_count = 1

[encoder]
backbone = "mobilenet_v2"
padding = "torch"

[concepts]
frozen_blocks = 0
copies = 2
epochs = 12
batch_size = 16
learning_rate = 1e-3
head_learning_rate = 3e-3
average_decay = 0.0
view_dropout = 0.0

[model]
architecture = "attention"
grid = 2
width = 48
hidden = 64
dropout = 0.1
head_dropout = 0.1

[reports]
epochs = 30
batch_size = 16
learning_rate = 5e-3
label_smoothing = 0.0
judge_every = 10
image_dropout = 0.5
block_trigrams = false
max_findings = 30
max_impression = 16
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms, the same with their images exchanged, and what `fit` made of the first."""
    folder = tmp_path_factory.mktemp("smoke")
    write_phantoms(folder / "phantoms", STUDIES, size=SIZE)
    exchange_images(folder / "phantoms", folder / "exchanged")
    (folder / "smoke.toml").write_text(CONFIG.format(folder=folder), encoding="utf-8")
    command = [sys.executable, "-m", "training", "fit", str(folder / "smoke.toml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "smoke 1" in done.stdout
    return folder


def macro_f1(folder: Path, data: str) -> float:
    """How well the published checkpoint names the findings of studies that it never saw."""
    examples = read_examples(folder / data, "test")
    captioner = Captioner(load_checkpoint(folder / "smoke-1"), device="cpu", batch_size=16)
    drafts, refused = model_drafts(captioner, examples, folder / data)
    assert not refused
    named = [named_labels(draft.findings, draft.impression) for draft in drafts]
    return clinical_scores(named, [example.problems for example in examples], list(TOLD)).macro_f1


def test_a_trained_model_names_what_the_images_show_and_nothing_else_tells_it(folder: Path) -> None:
    torch.set_num_threads(1)
    assert macro_f1(folder, "phantoms") >= 0.9
    assert macro_f1(folder, "exchanged") < 0.5
