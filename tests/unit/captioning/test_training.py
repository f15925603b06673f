import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from pipeline.errors import UsageError
from pipeline.models.concepts import ConceptHead
from pipeline.models.encoder import EncoderConfig, ViewEncoder, build_backbone
from pipeline.models.report_model import ReportModel
from pipeline.models.shape import Shape
from pipeline.study import Preprocessing
from training.augment import augment
from training.captions import CaptionTask, Written, WrittenLessons, draw_epoch, drop_images, drop_views
from training.cli import main
from training.concepts import ConceptTask, Labelled, Seer, aurocs, predict
from training.config import ConceptConfig, ReportConfig, read_config
from training.datasets import ImageArchive, concept_names, concept_targets, read_examples
from training.features import Activations, compute_activations
from training.loop import run
from training.material import Material, positives_first, read_material, report_target
from training.task import LoopSettings

SIZE = Preprocessing(height=64, width=64, fit="squash")


def test_a_data_set_is_read_with_its_views_and_concepts(data: Path) -> None:
    train, val = read_examples(data, "train"), read_examples(data, "val")
    assert (len(train), len(val)) == (6, 2)
    assert val[0].lateral is None
    assert train[1].concepts == {"Opacity", "Opacity/base", "abnormal"}
    assert train[0].concepts == set()
    assert set(concept_names(train, 2)) == {"Opacity", "Opacity/base", "abnormal"}
    assert concept_targets(train, ["abnormal"])[:, 0].tolist() == [0, 1, 0, 1, 0, 1]
    study = ImageArchive(data, SIZE).study(val[0], 3)
    assert study.frontal is not None
    assert study.frontal.shape == (64, 64)
    assert study.lateral is None


def test_a_missing_data_set_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no data in"):
        read_examples(tmp_path)


def test_an_augmented_view_is_never_mirrored() -> None:
    left = torch.zeros(40, 64, 64, dtype=torch.uint8)
    left[:, :, :24] = 200
    seen = augment(left, torch.Generator().manual_seed(0)).float()
    assert (seen[:, :, :32].mean((1, 2)) > seen[:, :, 32:].mean((1, 2)) + 40).all()


def test_the_concept_stage_learns_what_is_plain_to_see(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    examples, archive = read_examples(data), ImageArchive(data, SIZE)
    encoder = ViewEncoder(EncoderConfig(backbone="squeezenet1_1"))
    head, words = (ConceptHead(encoder.channels, 1, 2, 0.0) for _ in range(2))
    seer = Seer(encoder, head, words, 3)
    views = [
        [partial(archive.pixels, file) if file else None for file in (example.frontal, example.lateral)]
        for example in examples
    ]
    stem = compute_activations(views, lambda seen: encoder.stem(seen, 3), copies=2, seed=0)
    assert (stem.rows[6] >= 0).tolist() == [True, False]
    assert stem.copies.tolist() == [2] * 8
    abnormal = torch.from_numpy(concept_targets(examples, ["abnormal"]))
    labelled = Labelled(
        ids=[example.study for example in examples],
        activations=stem,
        targets=abnormal,
        known=torch.ones(8, 1),
        words=abnormal,
        written=torch.ones(8, 1),
    )
    config = ConceptConfig(frozen_blocks=3, copies=2, epochs=4, batch_size=4, learning_rate=1e-3, view_dropout=0.2)
    task = ConceptTask(seer=seer, train=labelled, choice=labelled, names=["abnormal"], config=config)
    result = run(task, LoopSettings(epochs=4), seed=0, folder=tmp_path, name="see")
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert aurocs(abnormal, predict(seer, stem), ["abnormal"], at_least=4)["abnormal"] == 1.0


def test_an_auroc_wants_cases_of_both_kinds() -> None:
    targets, scores = torch.tensor([[0.0, 1.0], [1.0, 1.0]] * 5), torch.tensor([[0.1, 0.3], [0.8, 0.2]] * 5)
    assert aurocs(targets, scores, ["a", "b"]) == {"a": 1.0}
    assert aurocs(targets, scores, ["a", "b"], at_least=6) == {}


def test_a_label_that_nobody_knows_teaches_nothing() -> None:
    """Radiographs of another collection tell some labels only, and hold no words."""
    torch.manual_seed(0)
    encoder = ViewEncoder(EncoderConfig(backbone="squeezenet1_1"))
    head, words = (ConceptHead(encoder.channels, 2, 2, 0.0) for _ in range(2))
    seer = Seer(encoder, head, words, len(encoder.layers))
    maps = Activations(
        values=torch.rand(4, encoder.channels, 2, 2).half(),
        rows=torch.arange(4).view(2, 2),
        copies=torch.ones(2, dtype=torch.long),
    )
    known = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    labelled = Labelled(
        ids=["a", "b"],
        activations=maps,
        targets=torch.tensor([[1.0, 1.0], [0.0, 1.0]]),
        known=known,
        words=torch.ones(2, 2),
        written=torch.zeros(2, 1),
    )
    config = ConceptConfig(frozen_blocks=len(encoder.layers), batch_size=2)
    task = ConceptTask(seer=seer, train=labelled, choice=labelled, names=["a", "b"], config=config)
    task.loss([0, 1], torch.Generator().manual_seed(0)).backward()  # type: ignore[no-untyped-call]
    learnt = [layer.get_parameter("weights.0.weight").grad for layer in (seer.head, seer.words)]
    (first, second), others = (torch.zeros(2, 1) if part is None else part.abs().sum(1) for part in learnt)
    assert float(first) > 0
    assert float(second) == float(others.sum()) == 0


def test_the_caption_stage_lowers_the_loss_and_listens(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = Shape(
        vocabulary=12,
        concepts=2,
        encoder=EncoderConfig(backbone="squeezenet1_1"),
        grid=2,
        width=16,
        hidden=24,
        dropout=0.0,
    )
    model = ReportModel("attention", shape)
    maps = Activations(
        values=torch.randn(8, model.encoder.channels, 2, 2).half(),
        rows=torch.arange(8).view(4, 2),
        copies=torch.ones(4, dtype=torch.long),
    )
    lessons = WrittenLessons(
        concepts=torch.tensor([[True, False], [False, False]] * 2),
        apart=torch.ones(2),
        tokens=[[1, 4, 7, 6, 5, 9, 6, 2], [1, 4, 8, 6, 5, 10, 6, 2]] * 2,
        indications=[[7], [], [8, 9], []],
    )
    config = ReportConfig(batch_size=1, learning_rate=0.02, label_smoothing=0.0)
    judged = iter([{"score": 1.0}, {"score": 3.0}, {"score": 2.0}])
    written = Written(
        ids=list("abcd"),
        maps=maps,
        device=model.device,
        lessons=lessons,
        lengths=[8] * 4,
        normal=torch.tensor([False] * 4),
    )
    task = CaptionTask(model=model, data=written, config=config, judged=lambda: next(judged))
    encoder = model.encoder.state_dict()["layers.0.weight"].clone()
    settings = LoopSettings(epochs=15, judge_every=5)
    result = run(task, settings, seed=0, folder=tmp_path, name="write")
    assert result.history[-1]["loss"] < result.history[0]["loss"] / 2
    assert (result.best_epoch, result.best_score) == (9, 3.0)
    assert torch.equal(model.encoder.state_dict()["layers.0.weight"], encoder)


def test_views_and_images_are_hidden_from_some_studies() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(200, 2, dtype=torch.bool)
    present, fewer = drop_views(torch.arange(400), mask, 0.5, generator)
    assert len(present) == int(fewer.sum()) < 400
    assert bool(fewer.any(1).all())
    present, fewer = drop_images(torch.arange(400), mask, 0.5, generator)
    assert len(present) == int(fewer.sum())
    assert 60 < int((~fewer.any(1)).sum()) < 140
    assert bool((fewer.all(1) | ~fewer.any(1)).all())


def test_an_epoch_draws_fewer_normal_studies() -> None:
    normal = torch.tensor([True, False] * 100)
    config = ReportConfig(batch_size=8, normal_weight=0.5)
    batches = draw_epoch(normal, [5] * 200, config, torch.Generator().manual_seed(0))
    drawn = [number for batch in batches for number in batch]
    assert len(set(drawn)) == len(drawn)
    assert 100 + 30 < len(drawn) < 100 + 70


def test_what_is_there_is_written_first(data: Path) -> None:
    assert positives_first(["no effusion", "mild cardiomegaly"]) == ["mild cardiomegaly", "no effusion"]
    example = read_examples(data, "train")[1]
    written = report_target(example, findings_first=False)
    assert written == (("the lungs are clear", "there is an opacity"), ("opacity present",))
    assert report_target(example, findings_first=True)[0] == ("there is an opacity", "the lungs are clear")


def material_of(data: Path, folder: Path, settings: str = "", reports: str = "") -> Material:
    config = folder / "config.toml"
    config.write_text(
        f"""
        [run]
        name = "t"
        version = "1"
        output = "out"
        [data]
        folder = "{data}"
        source = "made up"
        licence = "none"
        concept_splits = ["train"]
        report_splits = ["train"]
        min_concept_count = 2
        min_word_count = 1
        {settings}
        [reports]
        {reports}
        """
    )
    return read_material(read_config(config))


def test_material_is_what_the_configuration_names(data: Path, tmp_path: Path) -> None:
    material = material_of(data, tmp_path, "height = 48\nwidth = 32")
    assert [example.study for example in material.written] == [f"S{number}" for number in range(6)]
    assert [example.study for example in material.choice] == ["S6", "S7"]
    assert dict(zip(material.names, material.prevalence.tolist(), strict=True)) == dict.fromkeys(
        material.names, 0.5
    )
    assert material.archive.pixels("0-frontal.png").shape == (48, 32)
    assert "opacity" in material.words
    assert "the" not in material.words, "nearly all reports hold it"
    assert material.tokenizer.token_to_id("opacity") is not None
    assert material.sha256 == material_of(data, tmp_path).sha256


def test_what_was_kept_of_other_data_is_not_taken(data: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(data, tmp_path / "changed"))
    studies = json.loads((changed / "studies.json").read_text())
    studies[2]["problems"] = ["Opacity"]
    (changed / "studies.json").write_text(json.dumps(studies))
    assert material_of(changed, tmp_path).sha256 != material_of(data, tmp_path).sha256


def test_short_normal_reports_can_be_left_out(data: Path, tmp_path: Path) -> None:
    material = material_of(data, tmp_path, reports="min_normal_words = 9")
    assert {example.abnormal for example in material.written} == {True}


def test_backbones_go_by_their_torchvision_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown backbone 'telepathy'"):
        build_backbone("telepathy")
    with pytest.raises(UsageError, match="no feature map"):
        build_backbone("shufflenet_v2_x0_5")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(UsageError, match="does not hold the weights of 'squeezenet1_1'"):
        build_backbone("squeezenet1_1", tmp_path / "wrong.pth")


@pytest.mark.parametrize("name", ["champion", "encoder-decoder", "attention", "context-aggregation"])
def test_our_own_configurations_are_complete(name: str) -> None:
    config = read_config(Path(__file__).parents[3] / "training" / f"{name}.toml")
    assert config.run.name == name
    assert len(config.sha256) == 64
    assert (config.data.height, config.data.width) == (256, 256)


def test_a_setting_that_is_not_there_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[run]\ncolour = 1\n")
    with pytest.raises(UsageError, match=r"\[run\] has no setting 'colour'"):
        read_config(wrong)


def test_a_known_error_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["fit", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert result.output.startswith("Error: cannot read the configuration")
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path), "--model", str(tmp_path)])
    assert result.exit_code == 1
    assert "manifest.json is missing" in result.output
