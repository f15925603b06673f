"""The committed starter model: it loads, it captions, and on the val studies it is what its card says."""

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.captioner import Captioner
from pipeline.checkpoint import load_checkpoint
from pipeline.study import Reported, Study

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "pipeline" / "starter"
DATA = Path(os.environ.get("NIGHTREAD_TEST_DATA", ROOT.parent / "shared")) / "iuxray"


@pytest.fixture(scope="module")
def starter() -> Captioner:
    return Captioner(load_checkpoint(STARTER), device="cpu", batch_size=8)


def test_the_starter_is_small_and_says_what_it_is(starter: Captioner) -> None:
    assert sum(path.stat().st_size for path in STARTER.iterdir()) < 40 * 2**20
    card = (STARTER / "MODEL_CARD.md").read_text()
    for phrase in ("CC BY-NC-ND 4.0", "Not for clinical use", "radiologist", "How a site trains its own", "CIDEr"):
        assert phrase in card
    assert "abnormal" in starter.manifest.concepts


def test_the_starter_writes_both_sections_even_about_noise(starter: Captioner) -> None:
    random = np.random.default_rng(0)
    studies = [
        Study(key=n, frontal=random.integers(0, 256, (256, 256), dtype=np.uint8), lateral=None) for n in range(3)
    ]
    for outcome in starter.caption(studies):
        assert isinstance(outcome, Reported)
        assert outcome.report.findings.endswith(".")
        assert outcome.report.impression.endswith(".")
        assert outcome.report.findings[0].isupper()


@pytest.mark.skipif(not DATA.is_dir(), reason="the evaluation data are not here")
@pytest.mark.slow
def test_the_starter_reaches_its_figures(starter: Captioner) -> None:
    from training.evaluate import evaluate

    own, constant, *_ = evaluate(starter, DATA, "val", meteor=False)
    assert own.summary["CIDEr"] > max(0.34, constant.summary["CIDEr"])
    assert own.auroc >= 0.75
    assert own.coded.macro_f1 >= 0.08
    assert own.distinct >= 40
    claimed = starter.manifest.metrics["val"]["model"]
    for metric in ("CIDEr", "BLEU-4", "AUROC abnormal", "macro F1 problems"):
        assert own.summary[metric] == pytest.approx(claimed[metric], abs=0.005)
