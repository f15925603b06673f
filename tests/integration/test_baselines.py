"""The trivial baselines on the Indiana collection's val split are those that are printed with its protocols."""

import shutil

import pytest

from training.datasets import Example
from training.drafts import Draft
from training.scores import R2GenProtocol, r2gen_overlap, seed_overlap

FIGURES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
PRINTED = {
    "constant": (0.5173, 0.3496, 0.2469, 0.1771, 0.2110, 0.3469, 0.3392),
    "most frequent": (0.1989, 0.1180, 0.0836, 0.0640, 0.1035, 0.2947, 0.3335),
}
SEED = (0.4700, 0.4403, 0.4630, 0.5044)
ROUNDED = 0.00006  # four digits were printed


@pytest.mark.parametrize("meteor", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", PRINTED)
def test_findings_by_the_r2gen_protocol(
    name: str, meteor: bool, truth: list[Example], protocol: R2GenProtocol, baselines: dict[str, list[Draft]]
) -> None:
    if meteor and not shutil.which("java"):
        pytest.skip("METEOR needs Java")
    wanted = {f: value for f, value in zip(FIGURES, PRINTED[name], strict=True) if meteor or f != "METEOR"}
    overlap = r2gen_overlap(
        [draft.findings for draft in baselines[name]],
        [example.findings for example in truth],
        protocol,
        meteor=meteor,
    )
    assert overlap["r2gen"].scores == pytest.approx(wanted, abs=ROUNDED)


def test_impressions_by_the_seed_protocol(truth: list[Example], baselines: dict[str, list[Draft]]) -> None:
    drafts = [draft.impression for draft in baselines["constant"]]
    assert set(drafts) == {"No acute cardiopulmonary abnormality."}
    scores = seed_overlap(drafts, [example.impression for example in truth]).scores
    assert tuple(scores.values()) == pytest.approx(SEED, abs=ROUNDED)
