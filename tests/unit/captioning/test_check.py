"""Folders that are broken on purpose: everything that is wrong is told at once, before the first step."""

import io
import json
import logging
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.errors import UsageError
from tests.unit.sources.folders import image_bytes, record, write_indiana
from training.check import examine, require_sound
from training.checkpoint_check import checkpoint_problems
from training.cli import main
from training.image_check import image_problems
from training.problem_list import Problem, listed, stopping
from training.sources.readers import open_data

CONFIG = """
[run]
name = "site"
version = "1"
output = "out"
{run}
[data]
folder = "{folder}"
source = "ours"
licence = "ours"
report_splits = ["train"]
concept_splits = ["train"]
"""


def config(folder: Path, *, run: str = "", rest: str = "") -> Path:
    path = folder / "config.toml"
    path.write_text(CONFIG.format(folder=folder, run=run) + rest)
    return path


def check(path: Path) -> Result:
    return CliRunner().invoke(main, ["check", str(path)])


def strip(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((height, width), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_sound_folder_can_be_trained_from(tmp_path: Path) -> None:
    path = config(write_indiana(tmp_path, [record(number) for number in range(7)]))
    result = check(path)
    assert (result.exit_code, result.output) == (0, "It can be trained from.\n")
    require_sound(path)


def test_all_that_is_broken_is_told_at_once(tmp_path: Path) -> None:
    records = [
        record(1),
        record(2, findings="", impression=" "),
        record(3, patient="P"),
        record(5, patient="P"),
        record(1, split="val"),
        record(6, images=[{"file": "copy.png", "view": "frontal"}]),
        record(7, images=[{"file": "torn.png", "view": "frontal"}, {"file": "long.png", "view": "lateral"}]),
        record(8, images=[{"file": "dot.png", "view": "frontal"}]),
        record(9, images=[{"file": "9.png", "view": "LL"}]),
        record(10, images=[]),
    ]
    images = {
        "copy.png": image_bytes(0),
        "torn.png": image_bytes(70)[:300],
        "long.png": strip(400, 50),
        "dot.png": strip(8, 8),
    }
    write_indiana(tmp_path, records, images, without=["3-lateral.png"])
    rest = '[concepts]\nepoch = 3\ncopies = 0\nweights = "gone.pth"\n[reprots]\n'
    result = check(config(tmp_path, rest=rest))
    assert result.exit_code == 1
    for line in (
        "stops    [concepts] has no setting 'epoch'; did you mean 'epochs'?",
        "stops    [concepts] copies is 0, not at least 1",
        "stops    there is no table [reprots]; did you mean 'reports'?",
        "stops    these images have an unknown view; use frontal, lateral, other, unknown: 9.png ('LL')",
        "stops    these studies are in several splits; keep each in one: S1 (train, val)",
        "stops    these patients are in several splits; keep each in one (2): S1 (train, val), P (train, val)",
        "stops    these images are named but are not there; add them, or take their studies out: 3-lateral.png",
        "stops    these images cannot be read; copy them again, or take their studies out: torn.png (",
        "stops    these images are smaller than 32 pixels; nothing can be seen in them: dot.png (8 × 8)",
        "stops    these images are the same in several splits; keep each in one (2): 1-frontal.png = copy.png (",
        "warning  these studies have neither findings nor impression: left out of what is written: S2",
        "warning  these images are unlike a radiograph, far longer one way than the other: long.png (400 × 50)",
        "warning  these studies have no frontal and no lateral image: left out: S10",
    ):
        assert line in result.output, line
    assert result.output.endswith("It cannot be trained from as it is.\n")


def test_a_training_does_not_begin_with_what_is_wrong(tmp_path: Path) -> None:
    path = config(write_indiana(tmp_path, [record(1), record(6)], without=["1-frontal.png"]))
    result = CliRunner().invoke(main, ["fit", str(path)])
    assert result.exit_code == 2
    assert "cannot be trained from; 1 kinds of problems:\n  these images are named" in result.output


def test_what_is_odd_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    uncoded = [{k: v for k, v in record(n, findings="").items() if k != "problems"} for n in (2, 3)]
    path = config(write_indiana(tmp_path, [record(1), *uncoded, record(6)]))
    with caplog.at_level(logging.WARNING):
        require_sound(path)
    (line,) = caplog.messages
    assert line.startswith("the problems of 2 of 4 studies were coded by nobody")


def test_a_switch_that_would_do_nothing_stops(tmp_path: Path) -> None:
    write_indiana(tmp_path, [record(1), record(6)])
    rest = '[model]\nuse_multimodal = true\narchitecture = "{}"\n'
    line = "[model] use_multimodal is a switch of 'encoder-decoder' alone; leave it out"
    found = [
        stopping(examine(config(tmp_path, rest=rest.format(name)))) for name in ("attention", "encoder-decoder")
    ]
    assert line in [problem.kind for problem in found[0]]
    assert line not in [problem.kind for problem in found[1]]


def test_beliefs_without_a_teacher_stop(tmp_path: Path) -> None:
    write_indiana(tmp_path, [record(1), record(6)])
    line = "[model] use_beliefs learns from the consensus"
    for targets, wrong in (("written", True), ("consensus", False)):
        rest = f'[model]\nuse_beliefs = true\n[reports]\ntargets = "{targets}"\n'
        found = listed(stopping(examine(config(tmp_path, rest=rest))))
        assert any(each.startswith(line) for each in found) is wrong


def test_splits_that_are_not_there_or_overlap_stop(tmp_path: Path) -> None:
    write_indiana(tmp_path, [record(1, findings=""), record(6)])
    path = config(tmp_path, rest='choice_split = "train"\n')
    path.write_text(path.read_text().replace('report_splits = ["train"]', 'report_splits = ["train", "more"]'))
    lines = listed(stopping(examine(path)))
    assert "no study is in a split that [data] names; the data know train, val: more" in lines
    assert "[data] choice_split is learnt from as well; what chooses must not teach: train" in lines
    assert any(line.startswith("there are no findings to learn to write from") for line in lines)


def test_of_many_images_a_sample_is_opened_and_that_is_told(tmp_path: Path) -> None:
    write_indiana(tmp_path, [record(number) for number in range(4)], {"0-lateral.png": b"no image"})
    sides = {"train": "train"}
    some = image_problems(open_data(tmp_path), sides, decoded=4)
    assert [problem.kind for problem in some] == [
        "only every 2th of 8 images was opened to see whether it is sound"
    ]
    assert len(stopping(image_problems(open_data(tmp_path), sides))) == 1


def test_data_of_no_known_form_are_one_problem(tmp_path: Path) -> None:
    (problem,) = examine(config(tmp_path))
    assert problem.kind == "the data cannot be read"


def test_many_places_of_one_kind_are_one_line() -> None:
    problems = [Problem(kind="late", place=str(number)) for number in range(2000)]
    assert listed(problems, 3) == ["late (2,000): 0, 1, 2 and 1,997 more"]


def test_a_checkpoint_must_be_of_the_same_kind(saved: Path, tmp_path: Path) -> None:
    shape = {**json.loads((saved / "manifest.json").read_text())["config"], "vocabulary": 9000, "dropout": 0.9}
    assert checkpoint_problems(saved, architecture="attention", shape=shape) == []
    (other,) = checkpoint_problems(saved, architecture="transformer", shape=shape)
    assert "another architecture than 'transformer'" in other.kind
    wide = {**shape, "width": 99, "encoder": {**shape["encoder"], "backbone": "resnet18"}}
    found = listed(checkpoint_problems(saved, architecture="attention", shape=wide))
    assert len(found) == 1
    assert "encoder.backbone is 'squeezenet1_1', not 'resnet18'" in found[0]
    assert "width is 16, not 99" in found[0]
    (none,) = checkpoint_problems(tmp_path, architecture="attention", shape=shape)
    assert "manifest.json is missing" in none.place
    copy = copytree(saved, tmp_path / "copy")
    (copy / "tokenizer.json").write_text("{}")
    (torn,) = checkpoint_problems(copy, architecture="attention", shape=shape)
    assert torn.place == "tokenizer.json"


def test_a_checkpoint_to_start_from_is_looked_at(saved: Path, tmp_path: Path) -> None:
    write_indiana(tmp_path, [record(1), record(6)])
    with pytest.raises(UsageError, match=r"start_from\) has another shape .*encoder\.backbone is 'squeezenet1_1'"):
        require_sound(config(tmp_path, run=f'start_from = "{saved}"'))
