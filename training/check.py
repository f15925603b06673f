"""Before the first step: everything that is wrong with a configuration, its data and where it begins, at once.

What would make a training wrong stops it; what it can do without is told once and left out. Tables that are sound
are used to look further, so that one typing error does not hide a missing image. Knows no stage.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.errors import NightreadError, UsageError
from pipeline.manifest import find_checkpoint, load_manifest
from training.checkpoint_check import checkpoint_problems
from training.config import read_tables_of
from training.data_check import data_problems
from training.problem_list import Problem, listed, stopping
from training.sources.readers import card_notes, open_data
from training.toml_tables import missing_paths

log = logging.getLogger(__name__)
MULTIMODAL = "encoder-decoder"


def examine(path: Path) -> list[Problem]:
    """Everything that is wrong or odd; those that stop a training first."""
    tables, problems = read_tables_of(path)
    for name, table in tables.items():
        problems += missing_paths(table, name)
    problems += _model_problems(tables)
    problems += _belief_problems(tables)
    problems += _start_problems(tables)
    problems += _teacher_problems(tables)
    problems += _data_problems(tables)
    return sorted(problems, key=lambda problem: not problem.stops)


def _model_problems(tables: Mapping[str, Any]) -> list[Problem]:
    """Switches that the architecture would not honour: what is measured with them on would be measured off."""
    if "model" not in tables or not tables["model"].use_multimodal or tables["model"].architecture == MULTIMODAL:
        return []
    kind = f"[model] use_multimodal is a switch of {MULTIMODAL!r} alone; leave it out"
    return [Problem(kind=kind, place=f"architecture is {tables['model'].architecture!r}")]


def _belief_problems(tables: Mapping[str, Any]) -> list[Problem]:
    if not {"model", "reports"} <= tables.keys() or not tables["model"].use_beliefs:
        return []
    if tables["reports"].targets == "consensus":
        return []
    kind = '[model] use_beliefs learns from the consensus; leave it out, or set [reports] targets = "consensus"'
    return [Problem(kind=kind, place=f"targets is {tables['reports'].targets!r}")]


def _data_problems(tables: Mapping[str, Any]) -> list[Problem]:
    if "data" not in tables:
        return []
    try:
        data = open_data(tables["data"].folder, tables["data"].form)
    except UsageError as error:
        return [Problem(kind="the data cannot be read", place=str(error))]
    notes = [Problem(kind=note, place="", stops=False) for note in card_notes(data)]
    return [*data_problems(data, tables["data"]), *notes]


def _start_problems(tables: Mapping[str, Any]) -> list[Problem]:
    """Of the checkpoint to begin with, where one is named and the tables that tell the model's shape are sound."""
    if not {"run", "model", "encoder"} <= tables.keys() or tables["run"].start_from is None:
        return []
    shape = {**asdict(tables["model"]), "encoder": asdict(tables["encoder"])}
    architecture = shape.pop("architecture")
    return checkpoint_problems(tables["run"].start_from, architecture=architecture, shape=shape)


def _teacher_problems(tables: Mapping[str, Any]) -> list[Problem]:
    if "distillation" not in tables or not tables["distillation"].teacher:
        return []
    try:
        load_manifest(find_checkpoint(tables["distillation"].teacher))
    except NightreadError as error:
        return [Problem(kind="[distillation] teacher names no checkpoint", place=str(error))]
    return []


def require_sound(path: Path) -> None:
    """Tell what is odd, once; UsageError with all that would make the training wrong."""
    problems = examine(path)
    for line in listed(problem for problem in problems if not problem.stops):
        log.warning("%s", line)
    wrong = listed(stopping(problems))
    if wrong:
        lines = "".join(f"\n  {line}" for line in wrong)
        raise UsageError(f"{path} cannot be trained from; {len(wrong)} kinds of problems:{lines}")
