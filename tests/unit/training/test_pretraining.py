import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.encoder import EncoderConfig, ViewEncoder
from pipeline.models.report_model import ReportModel
from tests.unit.sources.folders import image_bytes, record, write_indiana
from training.config import PretrainingConfig, read_config
from training.loop import run
from training.material import read_material
from training.pretraining import (
    Pictures,
    Pretrainer,
    PretrainingTask,
    covariance,
    cut_out,
    found,
    lack_of_variance,
    vicreg_loss,
)
from training.seeing import learn_to_see
from training.task import LoopSettings
from training.trainer import shape_of
from training.unlabelled import all_images, pretrain, pretraining_key

CONFIG = PretrainingConfig(epochs=12, batch_size=8, learning_rate=1e-2, frozen_blocks=1, width=16)


def pictures(count: int, seed: int) -> Pictures:
    """Stripes, each image with a width and a direction of its own."""
    widths, turns = torch.rand(2, count, 1, 1, generator=torch.Generator().manual_seed(seed))
    down, right = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    along = right * (3.1 * turns).cos() + down * (3.1 * turns).sin()
    pixels = 128 + 100 * (along * (0.3 + 1.5 * widths)).sin()
    return Pictures(ids=[f"{seed}-{number}" for number in range(count)], pixels=pixels.to(torch.uint8))


def tiny_encoder() -> ViewEncoder:
    encoder = ViewEncoder(EncoderConfig(backbone="squeezenet1_1"))
    encoder.layers = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
    )
    encoder.channels = 16
    return encoder


def tiny_task() -> PretrainingTask:
    torch.manual_seed(0)
    pretrainer = Pretrainer(tiny_encoder(), frozen_blocks=CONFIG.frozen_blocks, width=CONFIG.width)
    train, choice = pictures(25, 0), pictures(12, 1)  # 25: one is left over
    return PretrainingTask(
        pretrainer=pretrainer, train=train, choice=choice, config=CONFIG, device=torch.device("cpu")
    )


def nearness(task: PretrainingTask) -> float:
    """How much farther other images are than the other view of the same one, in the features that are kept."""
    task.module.eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        first, second = (task.pretrainer.features(task.view(task.choice, range(12), generator)) for _ in range(2))
    distances = torch.cdist(first, second)
    own = distances.diagonal().mean()
    return float((distances.sum() - distances.diagonal().sum()) / (12 * 11) / own)


def test_embeddings_that_agree_and_differ_cost_nothing() -> None:
    hadamard = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * 2
    assert float(vicreg_loss(hadamard, hadamard)) == pytest.approx(0.0, abs=1e-5)
    assert float(vicreg_loss(hadamard, hadamard + 3)) == pytest.approx(25 * 9, rel=1e-4)


def test_numbers_that_do_not_vary_or_say_the_same_cost() -> None:
    one = torch.tensor([[-1.0], [1.0]])
    assert float(lack_of_variance(torch.zeros(4, 3))) == pytest.approx(0.99, abs=1e-4)
    assert float(lack_of_variance(one * torch.tensor([2.0, 0.1]))) == pytest.approx(
        (1 - 0.1 * 2**0.5) / 2, abs=1e-2
    )
    assert float(covariance(one * torch.tensor([1.0, 3.0]))) == pytest.approx(2 * 6.0**2 / 2)
    assert float(covariance(torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]))) == 0.0


@pytest.mark.parametrize(
    "embeddings", [torch.zeros(4, 3), torch.ones(1, 3), torch.full((6, 3), 1e4)], ids=["alike", "alone", "large"]
)
def test_no_batch_gives_a_gradient_that_is_not_finite(embeddings: Tensor) -> None:
    first = embeddings.clone().requires_grad_()
    loss = vicreg_loss(first, embeddings.clone())
    loss.backward()  # type: ignore[no-untyped-call]
    assert first.grad is not None
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(first.grad).all())


def test_the_loss_is_computed_in_full_precision() -> None:
    first, second = torch.randn(2, 8, 4).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = vicreg_loss(first, second)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(vicreg_loss(first.float(), second.float())), rel=1e-6)


def test_a_part_is_cut_out_and_never_mirrored() -> None:
    ramp = torch.arange(32, dtype=torch.uint8).mul(8).expand(40, 32, 32)
    part = cut_out(ramp, 0.25, torch.Generator().manual_seed(0)).float()
    width = part[:, 0].amax(1) - part[:, 0].amin(1)
    assert (part[:, :, 1:] >= part[:, :, :-1]).all()
    assert float(width.min()) < 0.6 * 248
    assert float(width.min()) > 0.4 * 248
    assert torch.equal(cut_out(ramp, 1.0, torch.Generator().manual_seed(0)), ramp)


def test_views_of_an_image_come_closer_and_the_loss_falls(tmp_path: Path) -> None:
    task = tiny_task()
    before = nearness(task)
    resting = {key: value.clone() for key, value in task.pretrainer.encoder.layers[0].state_dict().items()}
    result = run(task, LoopSettings(epochs=CONFIG.epochs), seed=1, folder=tmp_path, name="tiny")
    losses = [record["loss"] for record in result.history]
    assert max(losses[-3:]) < 0.85 * losses[0]
    assert result.best_score > result.history[0]["score"]
    assert nearness(task) > before * 1.15
    for key, value in task.pretrainer.encoder.layers[0].state_dict().items():
        assert torch.equal(value, resting[key]), f"{key} was to rest"


CONFIGURATION = """
[run]
name = "site"
version = "1"
output = "{folder}/out"
work = "{folder}/runs"
threads = 1
[data]
folder = "{folder}"
source = "ours"
licence = "ours"
radiographs = "{folder}/more"
height = 64
width = 64
[encoder]
backbone = "squeezenet1_1"
[pretraining]
epochs = 1
frozen_blocks = 11
width = 4
batch_size = 4
"""


def test_every_image_but_the_judges_is_learnt_from_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_indiana(tmp_path, [record(1), record(2), record(6)])
    write_radiographs(tmp_path / "more")
    path = tmp_path / "site.toml"
    path.write_text(CONFIGURATION.format(folder=tmp_path))
    config = read_config(path)
    material = read_material(config)
    assert [name for name, _ in all_images(material)] == [
        "1-frontal.png", "1-lateral.png", "2-frontal.png", "2-lateral.png", "a.png", "b.png"
    ]  # fmt: skip
    two = replace(config, encoder=replace(config.encoder, members=2))
    model = ReportModel("encoder-decoder", shape_of(two, 9, 1))
    first = pretrain(config, material, model)
    assert first is not None
    before = ViewEncoder(config.encoder).layers[:11].state_dict()
    assert set(first) >= {f"layers.{key}" for key in before}
    with caplog.at_level("INFO"):
        again = pretrain(config, material, model)
    assert "pre-training: taken from" in caplog.text
    assert again is not None
    assert all(torch.equal(first[key], again[key]) for key in first)
    learn_to_see(replace(config, concepts=replace(config.concepts, epochs=0)), material, model)
    for layers in (model.encoder.layers, model.encoder.others[0]):
        assert all(torch.equal(value, first[f"layers.{key}"]) for key, value in layers.state_dict().items())


def test_what_is_not_pretrained_keeps_its_key(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(CONFIGURATION.format(folder=tmp_path).replace("epochs = 1", "epochs = 0"))
    config = read_config(path)
    assert pretraining_key(config) == ()
    more = replace(config, pretraining=replace(config.pretraining, epochs=2))
    assert pretraining_key(more) != ()
    assert pretraining_key(more) != pretraining_key(replace(more, pretraining=replace(more.pretraining, epochs=3)))


def write_radiographs(folder: Path) -> None:
    """Two radiographs, one of which nobody labelled."""
    folder.mkdir()
    labels: dict[str, list[str]] = {"a.png": ["Effusion"], "b.png": []}
    told = [{"file": file, "source": "ours", "labels": names} for file, names in labels.items()]
    (folder / "labels.json").write_text(json.dumps(told))
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for number, file in enumerate(labels):
            archive.writestr(f"images/{file}", image_bytes(90 + number))


def test_views_of_an_image_find_each_other() -> None:
    first = torch.eye(4)
    assert found(first, first * 3) == 1.0
    assert found(first, first[[1, 0, 2, 3]]) == 0.5


def test_an_epoch_holds_no_image_twice_and_no_batch_of_one() -> None:
    drawn = tiny_task().epoch(0, torch.Generator().manual_seed(0))
    assert [len(index) for index in drawn] == [8, 8, 8]
    assert len({number for index in drawn for number in index}) == 24
