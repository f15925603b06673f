"""The shipped view classifier: its arithmetic, what it says of phantoms, and when it says nothing."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.phantom import invent, radiograph
from pipeline.phantom_others import ct_slice
from pipeline.view_classifier import (
    OUTPUTS,
    SHIPPED,
    Thresholds,
    ViewClassifier,
    load_classifier,
    reduced,
    standardised,
)

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
            opinion = load_classifier()(seen)
            assert opinion is not None
            told = asdict(opinion)
            assert told[view] > 0.5 > told[other]
            assert told["inverted"] < load_classifier().thresholds.inverted


def test_an_inverted_phantom_looks_inverted() -> None:
    opinion = load_classifier()(255 - grey(radiograph(invent(1), "frontal", rows=128, columns=128)))
    assert opinion is not None
    assert opinion.inverted > 0.5


def test_a_slice_is_no_frontal_chest() -> None:
    opinion = load_classifier()(grey(ct_slice(128)))
    assert opinion is not None
    assert max(opinion.frontal, opinion.lateral) < load_classifier().thresholds.tells


def test_nothing_is_said_of_what_is_too_small_or_blank() -> None:
    assert load_classifier()(np.zeros((256, 256), np.uint8)) is None
    assert load_classifier()(np.full((128, 256), 200, np.uint8)) is None
    assert load_classifier()(np.random.default_rng(1).integers(0, 256, (63, 256), dtype=np.uint8)) is None


def test_the_weights_are_small_and_those_that_the_manifest_names() -> None:
    content = (SHIPPED / "model.safetensors").read_bytes()
    manifest = json.loads((SHIPPED / "manifest.json").read_text(encoding="utf-8"))
    assert len(content) < 200_000
    assert hashlib.sha256(content).hexdigest() == manifest["sha256"]
    assert "research only" in manifest["licence"]
    limits = manifest["thresholds"]
    assert 0.9 < limits["tells"] <= limits["contradicts"] < 1


def test_looking_needs_no_torch() -> None:
    code = "import sys, pipeline.beholding as it; it.load_classifier(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_site_may_bring_its_own(tmp_path: Path) -> None:
    own = shutil.copytree(SHIPPED, tmp_path / "own")
    view = grey(radiograph(invent(1), "frontal", rows=128, columns=128))
    assert load_classifier(own)(view) == load_classifier()(view)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest.json", "{}"),
        ("manifest.json", "[]"),
        ("manifest.json", None),
        ("model.safetensors", "not weights"),
        ("model.safetensors", None),
    ],
)
def test_what_is_no_classifier_is_refused_at_once(tmp_path: Path, file: str, content: str | None) -> None:
    own = shutil.copytree(SHIPPED, tmp_path / "own")
    (own / file).unlink() if content is None else (own / file).write_text(content)
    with pytest.raises(CheckpointError, match=r"own.*NIGHTREAD_VIEW_CLASSIFIER"):
        load_classifier(own)


def test_weights_of_another_manifest_are_refused(tmp_path: Path) -> None:
    own = shutil.copytree(SHIPPED, tmp_path / "own")
    manifest = json.loads((own / "manifest.json").read_text())
    (own / "manifest.json").write_text(json.dumps({**manifest, "sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match="damaged, or another release's"):
        load_classifier(own)
