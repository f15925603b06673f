"""A night over real chest radiographs, wrapped as DX objects, scores as the same model on the very images."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.captioner import Captioner
from pipeline.checkpoint import load_checkpoint
from pipeline.study import Preprocessing
from tests.dx import DxTags, enlarge, write_dx
from tests.night import DATA, ROOT, Night
from training.datasets import Example, ImageArchive, read_examples
from training.drafts import Draft, model_drafts
from training.evaluate import judge
from training.scores import R2GenProtocol

COLLECTION = DATA / "iuxray"
TIMES = 4  # to 1024 x 1024
SAME = 0.005  # of figures up to 1; of greater ones, this share


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_night_scores_as_the_images_do(tmp_path: Path) -> None:
    if not COLLECTION.is_dir():
        pytest.skip(f"no collection of radiographs with reports at {COLLECTION}; set NIGHTREAD_TEST_DATA")
    examples = [example for example in read_examples(COLLECTION, "val") if example.findings]
    _wrap(examples, tmp_path / "archive")
    unmasked = {"NIGHTREAD_MASK_TEXT": "off"}  # as the images are that the model is judged by directly
    night = Night(home=tmp_path / "home", source=tmp_path / "archive", env=unmasked)
    balance = night.run()["balance"]
    assert balance["studies"]["reported"] == len(examples) == 296
    captioner = Captioner(
        load_checkpoint(ROOT / "pipeline" / "checkpoints" / "champion"), device="cpu", batch_size=16
    )
    direct, refused = model_drafts(captioner, examples, COLLECTION, background=False)  # headers hold none
    assert refused == 0
    train = [example.findings for example in read_examples(COLLECTION, "train")]
    protocol = R2GenProtocol.from_train(train)
    want = judge("images", direct, examples, protocol, meteor=False).summary
    have = judge("night", _stored(night, examples), examples, protocol, meteor=False).summary
    print("\n".join(f"{name:<20}{want[name]:>10.4f}{have[name]:>10.4f}" for name in want))  # noqa: T201
    distant = {
        name: (want[name], have[name]) for name in want if abs(want[name] - have[name]) > SAME * max(1, want[name])
    }
    assert distant == {}


def _wrap(examples: list[Example], folder: Path) -> None:
    """1024 x 1024, 12 bits in 16, every third study MONOCHROME1."""
    archive = ImageArchive(COLLECTION, Preprocessing(height=256, width=256, fit="squash"))
    for number, example in enumerate(examples):
        for view, file in (("PA", example.frontal), ("LL", example.lateral)):
            if file:
                tags = DxTags(study=example.study, name=view, view_position=view, monochrome1=number % 3 == 0)
                write_dx(folder / f"{number:05}" / f"{view}.dcm", enlarge(archive.pixels(file), TIMES), tags)


def _stored(night: Night, examples: list[Example]) -> list[Draft]:
    """What the ledger holds, in the order of the examples."""
    with closing(sqlite3.connect(night.home / "nightread.db")) as connection:
        rows = connection.execute(
            'SELECT min(object."key"), report.findings, report.impression, report.concepts FROM report'
            " JOIN report_input ON report_input.report_id = report.id"
            " JOIN instance ON instance.id = report_input.instance_id"
            " JOIN object ON object.id = instance.object_id GROUP BY report.id"
        ).fetchall()
    drafts = {
        int(Path(key).parent.name): Draft(
            findings=findings, impression=impression, abnormal=json.loads(concepts)["abnormal"]
        )
        for key, findings, impression, concepts in rows
    }
    return [drafts[number] for number in range(len(examples))]
