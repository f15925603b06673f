import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.errors import NightreadError, UsageError
from training.cli import main, show_front
from training.search_space import Choices, Range, Search, read_search
from training.tune import Measured, Member, tune, tune_config

RUN = {"name": "starter", "version": "1", "output": "out", "work": "runs"}
CONFIG = """
[run]
name = "starter"
version = "1"
output = "out"
[model]
width = 256
[tune]
trials = 12
model.width = [16, 512]
model.architecture = ["attention", "transformer"]
reports.learning_rate = [1e-4, 1e-2]
"reports.batch_size" = { choices = [24, 48] }
model.use_multimodal = [true, false]
"""


class Factory:
    """Stands for training: wide models write better and are slower; narrow ones fail."""

    def __init__(self, *, dies_at: int | None = None, fails: bool = False) -> None:
        self.tried: list[dict[str, Any]] = []
        self.dies_at, self.fails = dies_at, fails

    def __call__(self, config: Path) -> Measured:
        tables = tomllib.loads(config.read_text())
        assert Path(tables["run"]["output"]).parent == config.parent
        self.tried.append(tables)
        if len(self.tried) == self.dies_at:
            raise KeyboardInterrupt
        if self.fails or tables["model"]["width"] < 32:
            raise NightreadError("too narrow")
        return _figures(tables["model"]["width"], tables["model"]["architecture"])


def _figures(width: int, architecture: str) -> Measured:
    slow = 1.0 if architecture == "transformer" else 0.0
    return Measured(quality=width - slow, latency=width / 1000 + slow)


def _search(trials: int) -> Search:
    space: dict[str, Range | Choices] = {
        "model.width": Range(low=16, high=512),
        "model.architecture": Choices(values=("attention", "transformer")),
    }
    return Search(base={"run": RUN, "model": {"width": 1}}, trials=trials, space=space)


def _values(factory: Factory) -> list[tuple[int, str]]:
    return [(tables["model"]["width"], tables["model"]["architecture"]) for tables in factory.tried]


def test_a_search_is_read_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(CONFIG)
    search = read_search(tmp_path / "a.toml")
    assert search.trials == 12
    assert search.space == {
        "model.width": Range(low=16, high=512),
        "model.architecture": Choices(values=("attention", "transformer")),
        "reports.learning_rate": Range(low=1e-4, high=1e-2),
        "reports.batch_size": Choices(values=(24, 48)),
        "model.use_multimodal": Choices(values=(True, False)),
    }
    search.write(tmp_path / "b.toml", {"model.width": 64, "reports.batch_size": 24}, run={"name": "other"})
    tables = tomllib.loads((tmp_path / "b.toml").read_text())
    assert tables["model"] == {"width": 64}
    assert tables["reports"] == {"batch_size": 24}
    assert tables["run"]["name"] == "other"
    assert "tune" not in tables


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", r"trials = None; say how many"),
        ("trials = 0", r"trials = 0; say how many"),
        ("trials = 3", r"names nothing to change; add a line such as model\.width"),
        ("trials = 3\nmodel.width = 7", r"model\.width = 7 leaves nothing to choose"),
        ("trials = 3\nmodel.width = [7]", r"model\.width = \[7\] leaves nothing to choose"),
        ("trials = 3\nmodel.width = [9, 7]", r"goes from 9 to 7; name the smaller number first"),
    ],
)
def test_a_search_that_cannot_be_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.toml").write_text(f"[tune]\n{line}\n")
    with pytest.raises(UsageError, match=message):
        read_search(tmp_path / "a.toml")


def test_the_front_holds_what_nothing_beats_in_both(tmp_path: Path) -> None:
    factory = Factory()
    front = tune(_search(14), factory, folder=tmp_path, seed=1)
    sound = [pair for pair in _values(factory) if pair[0] >= 32]
    assert len(set(sound)) == len(sound), "nothing is trained twice"
    assert len(sound) < len(factory.tried), "a trial that fails does not end the search"
    figures = {pair: _figures(*pair) for pair in sound}
    unbeaten = [
        own.quality
        for own in figures.values()
        if not any(other.quality >= own.quality and other.latency < own.latency for other in figures.values())
    ]
    assert [member.measured.quality for member in front] == sorted(unbeaten, reverse=True)
    assert len(front) < len(figures)
    for number, member in enumerate(front, 1):
        tables = tomllib.loads(member.config.read_text())
        assert tables["model"]["width"] == member.values["model.width"]
        assert (tables["run"]["name"], tables["run"]["output"]) == (f"starter-{number}", f"out-{number}")


def test_a_killed_search_goes_on_with_the_trial_in_hand(tmp_path: Path) -> None:
    broken = Factory(dies_at=3)
    with pytest.raises(KeyboardInterrupt):
        tune(_search(6), broken, folder=tmp_path, seed=1)
    for line in (tmp_path / "journal").read_text().splitlines():
        json.loads(line)
    again = Factory()
    tune(_search(6), again, folder=tmp_path, seed=1)
    assert again.tried[0] == broken.tried[2]
    assert len({*_values(broken), *_values(again)}) == 6
    idle = Factory()
    tune(_search(6), idle, folder=tmp_path, seed=1)
    assert idle.tried == []


def test_a_search_with_other_settings_is_refused(tmp_path: Path) -> None:
    tune(_search(1), Factory(), folder=tmp_path, seed=2)
    other = Search(base={"run": RUN}, trials=1, space={"model.width": Range(low=64, high=512)})
    with pytest.raises(UsageError, match="begun with another configuration; go back to that one, or delete"):
        tune(other, Factory(), folder=tmp_path, seed=2)


def test_a_search_in_which_all_fails_says_so(tmp_path: Path) -> None:
    factory = Factory(fails=True)
    with pytest.raises(NightreadError, match="came to figures; the log tells why"):
        tune(_search(3), factory, folder=tmp_path, seed=1)
    assert len(factory.tried) == 3


def test_the_front_is_printed_for_people_and_machines(capsys: pytest.CaptureFixture[str]) -> None:
    measured = Measured(quality=0.81234, latency=0.02)
    member = Member(config=Path("front/1.toml"), measured=measured, values={"model.width": 64})
    show_front([member])
    assert "0.8123   0.0200  front/1.toml: model.width = 64" in capsys.readouterr().out
    show_front([member], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told[0]["measured"] == {"quality": 0.81234, "latency": 0.02}
    assert told[0]["config"] == "front/1.toml"


def test_a_misspelt_parameter_is_found_before_the_first_training(tmp_path: Path) -> None:
    config = tmp_path / "a.toml"
    config.write_text(f"""
[run]
name = "a"
version = "1"
output = "{tmp_path}/out"
work = "{tmp_path}"
[data]
folder = "nowhere"
source = ""
licence = ""
[tune]
trials = 2
model.colour = ["red", "blue"]
""")
    result = CliRunner().invoke(main, ["tune", str(config)])
    assert result.exit_code == 2
    assert "[model] has no setting 'colour'" in result.output
    config.write_text(config.read_text().replace('colour = ["red", "blue"]', "width = [16, 32]"))
    front = tune_config(config, lambda path: Measured(quality=len(path.read_text()), latency=1.0))
    assert front[0].config == tmp_path / "tune-a" / "front" / "1.toml"
