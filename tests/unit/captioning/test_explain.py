"""Overlays show the places that spoke for a sentence: those, no others, by evidence or by the words themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.captioner import Captioner
from pipeline.checkpoint import Checkpoint
from pipeline.explain import Explainer, named_findings
from pipeline.findings import extract
from pipeline.models.report_model import DECODERS, ReportModel
from pipeline.overlay import Overlay
from pipeline.study import Report, Study
from pipeline.text import sentence_words

SIDE, PLACES = 64, 4
ENLARGED = "Mild cardiomegaly."
FLUID = "There is a small pleural effusion."


def report(findings: str, impression: str = "") -> Report:
    statements = extract(f"{findings}\n{impression}")
    return Report(findings=findings, impression=impression, confidence=-1.0, statements=statements)


class Corner(nn.Module):
    """A head whose logits [B, 2] are what one place of one view shows: the same maps, other places, other heat."""

    def __init__(self, view: int, row: int, column: int) -> None:
        super().__init__()
        self.place = (view, row, column)

    def forward(self, maps: Tensor, mask: Tensor) -> Tensor:
        view, row, column = self.place
        return maps[:, view, :, row, column].sum(1, keepdim=True).expand(-1, 2)


class Blank(nn.Module):
    """An encoder that sees the same everywhere."""

    channels = 3

    def forward(self, views: Tensor, mask: Tensor) -> Tensor:
        maps = torch.ones(*mask.shape, self.channels, PLACES, PLACES)
        return maps * mask[..., None, None, None]


def explained(model: ReportModel, checkpoint: Checkpoint, text: Report, *, lateral: bool = True) -> list[Overlay]:
    explainer = Explainer(model.eval(), checkpoint.manifest.concepts, checkpoint.tokenizer)
    views = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (1, 2, SIDE, SIDE), dtype=np.uint8))
    return explainer.explain(views, torch.tensor([[True, lateral]]), torch.zeros(1, 0, dtype=torch.long), text)


@pytest.mark.parametrize(("view", "row", "column"), [(0, 0, 0), (0, 3, 3), (1, 0, 3)])
def test_a_head_that_looks_at_one_corner_lights_that_corner(
    checkpoint: Checkpoint, view: int, row: int, column: int
) -> None:
    model = checkpoint.model
    model.encoder, model.head = Blank(), Corner(view, row, column)  # type: ignore[assignment]
    overlays = explained(model, checkpoint, report(ENLARGED))
    assert [(one.view, one.label, one.method) for one in overlays] == [
        ("frontal", "Cardiomegaly", "concept"),
        ("lateral", "Cardiomegaly", "concept"),
    ]
    heat = np.stack([one.heat for one in overlays])
    assert heat.shape == (2, SIDE, SIDE)
    assert heat.dtype == np.float32
    step = SIDE // PLACES
    corner = heat[view, row * step : (row + 1) * step, column * step : (column + 1) * step]
    assert corner.max() == heat.max() == 1
    assert corner.mean() > 0.6
    assert heat[1 - view].max() == 0
    assert heat[view].sum() < 3 * corner.sum()  # the rest is the slope of the enlargement
    far = heat[view, : SIDE // 2] if row else heat[view, SIDE // 2 :]
    assert far.max() == 0


def test_what_speaks_against_a_finding_is_no_heat(checkpoint: Checkpoint) -> None:
    class Doubting(Corner):
        def forward(self, maps: Tensor, mask: Tensor) -> Tensor:
            return super().forward(maps, mask) - 2 * maps[:, 0, :, 3, 3].sum(1, keepdim=True)

    model = checkpoint.model
    model.encoder, model.head = Blank(), Doubting(0, 0, 0)  # type: ignore[assignment]
    frontal, _ = explained(model, checkpoint, report(ENLARGED))
    assert frontal.heat[:16, :16].mean() > 0.6
    assert frontal.heat[32:, 32:].max() == 0


def test_heat_by_concept_adds_up_to_the_logit(checkpoint: Checkpoint) -> None:
    """Gradient × activation of a head that is linear in what it pools: nothing is lost, nothing is made up."""
    from pipeline.explain import _Look

    model = checkpoint.model.eval()
    mask = torch.ones(1, 2, dtype=torch.bool)
    with torch.no_grad():
        maps = model.see(torch.randint(0, 255, (1, 2, SIDE, SIDE), dtype=torch.uint8), mask)
        zero = model.judge(torch.zeros_like(maps), mask)[0, 1]
        logit = model.judge(maps, mask)[0, 1]
    look = _Look(model, maps, mask, torch.zeros(1, 0, dtype=torch.long))
    (gradient,) = torch.autograd.grad(look._evidence[0, 1], look._maps)  # noqa: SLF001
    assert float((gradient * maps).sum()) == pytest.approx(float(logit - zero), abs=1e-4)


@pytest.mark.parametrize(
    ("architecture", "use_image"), [*((name, True) for name in DECODERS), ("transformer", False)]
)
def test_a_finding_that_is_no_concept_is_explained_by_its_words(
    checkpoint: Checkpoint, architecture: str, use_image: bool
) -> None:
    torch.manual_seed(1)
    shape = replace(checkpoint.model.config, use_image=use_image)
    model = ReportModel(architecture, shape)
    overlays = explained(model, checkpoint, report(f"The lungs are clear. {FLUID}", ENLARGED))
    assert [(one.sentence, one.view, one.method) for one in overlays] == [
        (FLUID, "frontal", "words"),
        (FLUID, "lateral", "words"),
        (ENLARGED, "frontal", "concept"),
        (ENLARGED, "lateral", "concept"),
    ]
    for sentence in (overlays[:2], overlays[2:]):
        assert max(one.heat.max() for one in sentence) == pytest.approx(1, abs=0.2)  # less between two places
        assert min(one.heat.min() for one in sentence) >= 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_words_light_the_place_that_the_memory_takes_them_from(checkpoint: Checkpoint) -> None:
    """All places of the maps but one are cut off from the memory: that one must be the whole heat."""
    torch.manual_seed(0)
    model = ReportModel("transformer", replace(checkpoint.model.config, use_concepts=False)).eval()
    whole = model.memory.forward

    def narrowed(maps: Tensor, mask: Tensor, evidence: Tensor, indication: Tensor) -> dict[str, Tensor]:
        only = torch.zeros_like(maps)
        only[:, 0, :, 0, -1] = 1
        return whole(maps * only, mask, evidence, indication)

    model.memory.forward = narrowed  # type: ignore[method-assign]
    overlays = explained(model, checkpoint, report(FLUID))
    assert overlays, "nothing spoke for the words: choose another seed"
    frontal, lateral = overlays
    assert frontal.heat[0, -1] == 1
    assert frontal.heat[SIDE // 2 :].max() == frontal.heat[:, : SIDE // 3].max() == lateral.heat.max() == 0


def test_evidence_that_tells_nothing_explains_nothing(checkpoint: Checkpoint) -> None:
    model = checkpoint.model
    model.calibrate(torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))  # the head cannot tell "Cardiomegaly"
    assert {one.method for one in explained(model, checkpoint, report(ENLARGED))} <= {"words"}


def test_a_view_that_is_not_there_has_no_overlay(checkpoint: Checkpoint) -> None:
    overlays = explained(checkpoint.model, checkpoint, report(ENLARGED), lateral=False)
    assert [one.view for one in overlays] == ["frontal"]
    assert overlays[0].heat.max() > 0.8


def test_a_report_that_names_nothing_is_not_looked_at_again(checkpoint: Checkpoint) -> None:
    model = checkpoint.model
    model.encoder = None  # type: ignore[assignment]
    assert explained(model, checkpoint, report("The lungs are clear. No pleural effusion.", "Normal chest.")) == []


def test_a_captioner_explains_what_it_wrote_and_writes_the_same_again(checkpoint: Checkpoint) -> None:
    captioner = Captioner(checkpoint, device="cpu")
    pixels = np.random.default_rng(3).integers(0, 200, (SIDE, SIDE), dtype=np.uint8)
    study = Study(key=1, frontal=pixels, lateral=None)
    before = captioner.caption([study])
    (overlay,) = captioner.explain(study, report(ENLARGED))
    assert (overlay.view, overlay.heat.shape) == ("frontal", (SIDE, SIDE))
    assert captioner.caption([study]) == before


def test_only_what_is_said_to_be_there_is_named() -> None:
    statements = extract("Heart size is normal. Possible pneumonia and a small pleural effusion. No pneumothorax.")
    (labels,) = named_findings(statements).values()
    assert {"Pneumonia", "Pleural Effusion"} <= set(labels)


@pytest.mark.parametrize("words", ["mild cardiomegaly", "copd , with a 5 mm nodule , stable"])
def test_a_sentence_is_taken_apart_as_it_was_put_together(words: str) -> None:
    from pipeline.text import detokenize

    assert sentence_words(detokenize([*words.split(), "."])) == words.split()
