"""The state of a run on disk, so that a killed run goes on as if nothing had happened.

A state is whole or it is not there: written beside its place, synced, renamed. It holds the facts under which
the run was begun (settings, seed, data); under others it is refused: the result would be nobody's experiment.
Reads tensors and plain values only: no file can run code.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from pipeline.errors import UsageError

Fact = str | int | float | bool | None
Facts = Mapping[str, Fact]


def write_state(path: Path, state: Any) -> None:
    """Put tensors and plain values in their place, surviving a kill or a power cut at any moment."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_state(path: Path, facts: Facts, device: torch.device) -> dict[str, Any] | None:
    """The state that a run of the same facts left there; None where there is none."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        then = dict(state["facts"])
    except (OSError, RuntimeError, EOFError, KeyError, UnpicklingError) as error:
        raise UsageError(f"the state of an earlier run, {path}, is damaged; delete it to begin anew") from error
    refuse_other_facts(then, facts, path)
    return state


def refuse_other_facts(then: Facts, now: Facts, path: Path) -> None:
    """Refuse to go on under other settings or on other data."""
    changed = [
        f"{name} was {then.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    if changed:
        raise UsageError(
            f"the run in {path} was begun otherwise: {'; '.join(changed)}; "
            f"change that back to go on, or delete {path} to begin anew"
        )
