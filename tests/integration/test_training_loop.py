"""Training in real processes: killed at any moment, and shared by two ranks."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240  # seconds, for a busy machine
UPDATES = 6 * 3  # epochs of 5 batches, 2 together


def _start(folder: Path, *launcher: str, noise: float, pause: float) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", *launcher, "tests.tiny_task", str(folder), str(noise), str(pause)]
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(command, cwd=ROOT, stderr=said)


def _end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    process.wait(timeout=PATIENCE)
    assert process.returncode == 0, (folder / "said").read_text()


def _curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "tiny.jsonl").read_text().splitlines()]


def _kill_during_update(process: "subprocess.Popen[bytes]", folder: Path, wait: float) -> None:
    """Wait until the process has begun to train and saved something, then for some more, and kill it."""
    deadline = time.monotonic() + PATIENCE
    while not (folder / "tiny.state").exists():
        assert process.poll() is None, (folder / "said").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(wait)
    process.kill()
    process.wait()


def test_a_killed_run_has_the_curve_and_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    wait = random.uniform(0.0, 1.0)
    whole = _start(tmp_path / "whole", noise=0.2, pause=0.0)
    _kill_during_update(_start(tmp_path / "killed", noise=0.2, pause=0.1), tmp_path / "killed", wait)
    assert not (tmp_path / "killed" / "weights.pt").exists(), "it ended before it was killed"
    _end(_start(tmp_path / "killed", noise=0.2, pause=0.0), tmp_path / "killed")
    _end(whole, tmp_path / "whole")
    assert _curve(tmp_path / "killed") == _curve(tmp_path / "whole"), f"killed after {wait} s"
    assert len([line for line in _curve(tmp_path / "whole") if "update" in line]) == UPDATES
    kept = torch.load(tmp_path / "killed" / "weights.pt", weights_only=True)
    for key, value in torch.load(tmp_path / "whole" / "weights.pt", weights_only=True).items():
        assert torch.equal(value, kept[key]), f"{key} differs after a kill at {wait} s"


def test_two_ranks_have_the_curve_of_one(tmp_path: Path) -> None:
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    both = _start(tmp_path / "both", *launcher, noise=0.0, pause=0.0)
    _end(_start(tmp_path / "one", noise=0.0, pause=0.0), tmp_path / "one")
    _end(both, tmp_path / "both")
    for pair, alone in zip(_curve(tmp_path / "both"), _curve(tmp_path / "one"), strict=True):
        assert pair == pytest.approx(alone, rel=1e-5)
