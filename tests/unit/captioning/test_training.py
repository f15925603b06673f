import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from pipeline.errors import UsageError
from pipeline.models.attention import AttentionConfig, AttentionModel
from pipeline.models.concepts import ConceptHead
from pipeline.models.encoder import EncoderConfig, ViewEncoder, build_backbone
from pipeline.study import Preprocessing
from training.augment import augment
from training.captions import Written, draw_epoch, drop_images, fit_captions, noisy_concepts
from training.cli import main
from training.concepts import Labelled, Seer, aurocs, drop_views, fit_concepts
from training.config import ConceptConfig, ReportConfig, read_config
from training.datasets import ImageArchive, concept_names, concept_targets, read_examples
from training.features import Activations, compute_activations
from training.trainer import fit_thresholds, positives_first, report_target

SIZE = Preprocessing(height=64, width=64, fit="squash")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight made-up studies: bright ones have an opacity."""
    folder = tmp_path_factory.mktemp("data")
    studies, random = [], np.random.default_rng(0)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for number in range(8):
            opaque = number % 2 == 1
            images = [{"file": f"{number}-{view}.png", "view": view} for view in ("frontal", "lateral")]
            for image in images[: 1 if number == 6 else 2]:
                grey = random.integers(0, 60, (64, 64)) + (150 if opaque else 20)
                buffer = io.BytesIO()
                Image.fromarray(grey.astype(np.uint8)).save(buffer, "PNG")
                archive.writestr(f"images/{image['file']}", buffer.getvalue())
            studies.append({
                "study": f"S{number}", "split": "val" if number > 5 else "train",
                "images": images[: 1 if number == 6 else 2], "r2gen_pair": [],
                "findings": "The lungs are clear. There is an opacity." if opaque else "The lungs are clear.",
                "impression": "Opacity present." if opaque else "No acute disease.",
                "mesh": ["Opacity/lung/base/left"] if opaque else ["normal"],
                "problems": ["Opacity"] if opaque else ["normal"],
            })  # fmt: skip
    (folder / "studies.json").write_text(json.dumps(studies))
    return folder


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
    with pytest.raises(UsageError, match=r"cannot read .*studies\.json"):
        read_examples(tmp_path)


def test_an_augmented_view_is_never_mirrored() -> None:
    left = np.zeros((64, 64), dtype=np.uint8)
    left[:, :24] = 200
    for seed in range(20):
        seen = augment(left, np.random.default_rng(seed))
        assert seen[:, :32].mean() > seen[:, 32:].mean() + 40
    assert np.array_equal(augment(left, np.random.default_rng(1)), augment(left, np.random.default_rng(1)))


def test_the_concept_stage_learns_what_is_plain_to_see(data: Path) -> None:
    torch.manual_seed(0)
    examples = read_examples(data)
    encoder = ViewEncoder(EncoderConfig(backbone="squeezenet1_1"))
    seer = Seer(encoder, ConceptHead(encoder.channels, 1, 2, 0.0), 3)
    stem = compute_activations(
        examples, ImageArchive(data, SIZE), lambda views: encoder.stem(views, 3), copies=2, seed=0
    )
    assert (stem.rows[6] >= 0).tolist() == [True, False]
    labelled = Labelled(activations=stem, targets=torch.from_numpy(concept_targets(examples, ["abnormal"])))
    config = ConceptConfig(frozen_blocks=3, copies=2, epochs=3, batch_size=4, view_dropout=0.2)
    found = fit_concepts(seer, labelled, labelled, ["abnormal"], config=config, seed=0)
    assert set(found) <= {"abnormal"}
    assert aurocs(torch.tensor([[0.0], [1.0]] * 5), torch.tensor([[0.1], [0.8]] * 5), ["a"]) == {"a": 1.0}


def test_the_caption_stage_lowers_the_loss_and_listens() -> None:
    torch.manual_seed(0)
    shape = AttentionConfig(
        vocabulary=12,
        concepts=2,
        encoder=EncoderConfig(backbone="squeezenet1_1"),
        grid=2,
        width=16,
        attention=8,
        hidden=24,
        dropout=0.0,
    )
    model = AttentionModel(shape)
    maps = Activations(
        values=torch.randn(8, model.encoder.channels, 2, 2).half(), rows=torch.arange(8).view(4, 2), copies=1
    )
    told = torch.tensor([[True, False], [False, False]] * 2)
    tokens = [[1, 4, 7, 6, 5, 9, 6, 2], [1, 4, 8, 6, 5, 10, 6, 2]] * 2
    written = Written(maps=maps, concepts=told, tokens=tokens, normal=torch.tensor([False] * 4))
    config = ReportConfig(epochs=25, batch_size=4, learning_rate=0.02, label_smoothing=0.0, concept_drop=0.0)
    losses: list[float] = []

    def judge(_: int, loss: float) -> float:
        losses.append(loss)
        return -loss

    fit_captions(model, written, config=config, seed=0, judge=judge)
    assert losses[-1] < losses[0] / 2


def test_noise_hides_and_invents_concepts_and_views() -> None:
    generator = torch.Generator().manual_seed(0)
    told = torch.rand(200, 5, generator=generator) < 0.5
    config = ReportConfig(concept_drop=0.3, concept_add=0.5)
    noisy = noisy_concepts(told, config, torch.full((5,), 0.5), generator)
    assert 0.6 < float(noisy[told].float().mean()) < 0.9
    assert 0.1 < float(noisy[~told].float().mean()) < 0.4
    mask = torch.ones(200, 2, dtype=torch.bool)
    present, fewer = drop_views(torch.arange(400), mask, 0.5, generator)
    assert len(present) == int(fewer.sum()) < 400
    assert bool(fewer.any(1).all())
    present, fewer = drop_images(torch.arange(400), mask, 0.5, generator)
    assert len(present) == int(fewer.sum())
    assert not bool(fewer.any(1).all())


def test_an_epoch_draws_fewer_normal_studies() -> None:
    normal = torch.tensor([True, False] * 100)
    config = ReportConfig(batch_size=8, normal_weight=0.5)
    batches = draw_epoch(normal, [5] * 200, config, torch.Generator().manual_seed(0))
    drawn = [number for batch in batches for number in batch]
    assert len(set(drawn)) == len(drawn)
    assert 100 + 30 < len(drawn) < 100 + 70


def test_thresholds_tell_a_concept_as_often_as_it_occurs() -> None:
    probabilities = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0))
    thresholds = fit_thresholds(probabilities, torch.tensor([0.1, 0.3]), 2.0)
    assert (probabilities >= thresholds).float().mean(0).tolist() == pytest.approx([0.2, 0.6], abs=0.01)


def test_what_is_there_is_written_first(data: Path) -> None:
    assert positives_first(["no effusion", "mild cardiomegaly"]) == ["mild cardiomegaly", "no effusion"]
    train = read_examples(data, "train")
    assert report_target(train[1], 9)[2:7] == ["there", "is", "an", "opacity", "."]
    assert report_target(train[0], 9) == []
    assert report_target(train[0], 0)[:2] == ["<bos>", "<findings>"]


def test_backbones_go_by_their_torchvision_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown backbone 'telepathy'"):
        build_backbone("telepathy")
    with pytest.raises(UsageError, match="no feature map"):
        build_backbone("shufflenet_v2_x0_5")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(UsageError, match="does not hold the weights of 'squeezenet1_1'"):
        build_backbone("squeezenet1_1", tmp_path / "wrong.pth")


def test_the_starters_configuration_is_complete(tmp_path: Path) -> None:
    config = read_config(Path(__file__).parents[3] / "training" / "starter.toml")
    assert config.run.name == "starter"
    assert len(config.sha256) == 64
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[run]\ncolour = 1\n")
    with pytest.raises(UsageError, match=r"\[run\] has no setting 'colour'"):
        read_config(wrong)


def test_a_known_error_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["fit", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert result.output.startswith("Error: cannot read the configuration")
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path), str(tmp_path)])
    assert result.exit_code == 1
    assert "manifest.json is missing" in result.output
