"""What a run tells of itself: one JSON line per update and per epoch, and TensorBoard where that is installed.

`{"update": 12, "epoch": 0, "loss": 3.1, "rate": 0.001}` and `{"epoch": 0, "loss": 3.4, "score": 0.2}`. A line that
was written after the last saved state is cut off when the run goes on, so each update has one line.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Board(Protocol):
    """What is asked of a TensorBoard writer; may buffer."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Draw one point of a curve."""

    def close(self) -> Any:
        """Write what is buffered."""


def open_board(folder: Path, update: int) -> Board | None:
    """A TensorBoard writer that forgets later points; None where the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        return None
    board: Board = SummaryWriter(str(folder), purge_step=update + 1)
    return board


class History:
    """The file of one run, and its board."""

    def __init__(self, path: Path, *, size: int, board: Board | None) -> None:
        path.touch()
        os.truncate(path, min(size, path.stat().st_size))
        self._stream = path.open("a", encoding="utf-8")
        self._board = board

    def add(self, update: int, record: Mapping[str, float]) -> None:
        """One line, and its points; figures of an update and of an epoch make different curves."""
        self._stream.write(json.dumps(dict(record)) + "\n")
        group = "update" if "update" in record else "epoch"
        for name, value in record.items() if self._board else ():
            if name not in ("update", "epoch") and self._board:
                self._board.add_scalar(f"{group}/{name}", value, update)

    def flush(self) -> None:
        """Let others read what was added."""
        self._stream.flush()

    def keep(self) -> int:
        """Put what was added on disk; the file's size, to be kept with the state."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        return self._stream.tell()

    def close(self) -> None:
        """Add no more."""
        self._stream.close()
        if self._board:
            self._board.close()
