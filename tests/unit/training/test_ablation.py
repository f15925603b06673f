"""An ablation trains each variant with each seed once, goes on after a kill, and tells mistakes first."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from training.ablation import BASE, FIGURES, ablate, render_rows
from training.config import Config

CONFIG = """
[run]
name = "small"
version = "1"
output = "{folder}/out"
work = "{folder}/runs"
[data]
folder = "{folder}"
source = "phantoms"
licence = "none"
[encoder]
[model]
width = 256
[ablation]
seeds = [1, 2]
common = {{ "model.hidden" = 64 }}
[ablation.variants]
"narrow" = {{ "model.width" = 128 }}
"""


class Trainer:
    """Stands for training: the wider the better, and the seed adds a little."""

    def __init__(self, dies_at: int = 0) -> None:
        self.trained: list[tuple[int, int]] = []
        self.dies_at = dies_at

    def __call__(self, config: Config) -> Mapping[str, float]:
        assert config.model.hidden == 64
        self.trained.append((config.model.width, config.run.seed))
        if len(self.trained) == self.dies_at:
            raise KeyboardInterrupt
        return dict.fromkeys(FIGURES.values(), config.model.width / 256 + config.run.seed / 10)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def test_every_variant_is_trained_with_every_seed_once(config: Path) -> None:
    trainer = Trainer()
    rows = ablate(config, trainer)
    assert trainer.trained == [(256, 1), (128, 1), (256, 2), (128, 2)]
    assert [row.name for row in rows] == [BASE, "narrow"]
    assert list(rows[1].figures["CIDEr"]) == pytest.approx([0.6, 0.7])
    assert "| narrow | 0.650 ± 0.071 |" in render_rows(rows)


def test_a_killed_ablation_goes_on(config: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ablate(config, Trainer(dies_at=3))
    again = Trainer()
    ablate(config, again)
    assert again.trained == [(256, 2), (128, 2)]


def test_a_changed_configuration_is_trained_anew(config: Path) -> None:
    ablate(config, Trainer())
    config.write_text(config.read_text().replace("width = 256", "width = 512"))
    again = Trainer()
    ablate(config, again)
    assert again.trained == [(512, 1), (512, 2)]  # what is narrow in either stays


def test_one_more_variant_costs_no_other_row(config: Path) -> None:
    ablate(config, Trainer())
    config.write_text(f'{config.read_text()}"wide" = {{ "model.width" = 512 }}\n')
    again = Trainer()
    ablate(config, again)
    assert again.trained == [(512, 1), (512, 2)]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seeds = [1, 2]", "seeds = []", "list whole numbers"),
        ("seeds = [1, 2]", "seed = [1]", "seeds, common and variants"),
        ('"model.width" = 128', '"model.widht" = 128', "widht"),
        ('"model.width" = 128', '"width" = 128', "name what changes"),
    ],
)
def test_mistakes_are_told_before_the_first_training(config: Path, old: str, new: str, told: str) -> None:
    config.write_text(config.read_text().replace(old, new))
    trainer = Trainer()
    with pytest.raises(UsageError, match=told):
        ablate(config, trainer)
    assert trainer.trained == []
