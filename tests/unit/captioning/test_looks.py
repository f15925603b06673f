"""The evaluation page's pictures are the captioner's overlays over the views that it was given."""

import numpy as np

from pipeline.captioner import Captioner
from pipeline.checkpoint import Checkpoint
from pipeline.findings import extract
from pipeline.study import Report, Study
from training.looks import Looks


def test_a_draft_is_explained_sentence_by_sentence_and_view_by_view(checkpoint: Checkpoint) -> None:
    captioner = Captioner(checkpoint, device="cpu")
    text = "Mild cardiomegaly. No pleural effusion."
    report = Report(findings=text, impression="", confidence=-1.0, statements=extract(text))
    view = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    pictures = Looks(captioner=captioner)(Study(key=1, frontal=view, lateral=view.T.copy()), report)
    assert [(one.sentence, one.view) for one in pictures] == [
        ("Mild cardiomegaly.", "frontal"),
        ("Mild cardiomegaly.", "lateral"),
    ]
    for one, pixels in zip(pictures, (view, view.T), strict=True):
        cold = (one.pixels == pixels[..., None]).all(-1)
        assert one.pixels.shape == (64, 64, 3)
        assert 0 < cold.mean() < 1  # the view shows through where nothing was seen, and not everywhere
