"""The shipped view classifier: its arithmetic, what it says of phantoms, and when it says nothing."""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.phantom import invent, radiograph
from pipeline.phantom_others import ct_slice
from pipeline.view_classifier import FOLDER, OUTPUTS, Thresholds, ViewClassifier, reduced, shipped, standardised

LIMITS = Thresholds(tells=0.95, contradicts=0.99, inverted=0.95)


def grey(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(plane * 255, np.uint8)


def test_numpy_computes_what_torch_trained() -> None:
    torch = pytest.importorskip("torch")
    from training.views import Network, weights_of

    torch.manual_seed(3)
    network = Network().eval()
    view = np.random.default_rng(3).integers(0, 256, (96, 96), dtype=np.uint8)
    opinion = ViewClassifier(weights_of(network), LIMITS)(view)
    assert opinion is not None
    with torch.no_grad():
        scores = network(torch.from_numpy(standardised(reduced(view)))[None])[0]
    expected = [*torch.softmax(scores[:3], 0).tolist(), torch.sigmoid(scores[3]).item()]
    assert list(asdict(opinion)) == list(OUTPUTS)
    assert list(asdict(opinion).values()) == pytest.approx(expected, abs=2e-3)  # weights in half precision


@pytest.mark.parametrize("seed", [1, 2])
def test_phantoms_are_told_apart_whatever_their_frame(seed: int) -> None:
    for view, other in (("frontal", "lateral"), ("lateral", "frontal")):
        pixels = grey(
            radiograph(invent(seed), "frontal" if view == "frontal" else "lateral", rows=128, columns=128)
        )
        framed = cv2.copyMakeBorder(pixels, 0, 0, 14, 14, cv2.BORDER_CONSTANT, value=0)
        for seen in (pixels, np.asarray(framed, np.uint8)):
            opinion = shipped()(seen)
            assert opinion is not None
            told = asdict(opinion)
            assert told[view] > 0.5 > told[other]
            assert told["inverted"] < shipped().thresholds.inverted


def test_an_inverted_phantom_looks_inverted() -> None:
    opinion = shipped()(255 - grey(radiograph(invent(1), "frontal", rows=128, columns=128)))
    assert opinion is not None
    assert opinion.inverted > 0.5


def test_a_slice_is_no_frontal_chest() -> None:
    opinion = shipped()(grey(ct_slice(128)))
    assert opinion is not None
    assert max(opinion.frontal, opinion.lateral) < shipped().thresholds.tells


def test_nothing_is_said_of_what_is_too_small_or_blank() -> None:
    assert shipped()(np.zeros((256, 256), np.uint8)) is None
    assert shipped()(np.full((128, 256), 200, np.uint8)) is None
    assert shipped()(np.random.default_rng(1).integers(0, 256, (63, 256), dtype=np.uint8)) is None


def test_the_weights_are_small_and_those_that_the_manifest_names() -> None:
    content = (FOLDER / "model.safetensors").read_bytes()
    manifest = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    assert len(content) < 200_000
    assert hashlib.sha256(content).hexdigest() == manifest["sha256"]
    assert "research only" in manifest["licence"]
    limits = manifest["thresholds"]
    assert 0.9 < limits["tells"] <= limits["contradicts"] < 1


def test_looking_needs_no_torch() -> None:
    code = (
        "import sys; from pipeline.beholding import beheld, shipped; shipped(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
