"""A search for configurations that write better or faster: the front of those that no other one beats in both.

Every trial is a whole training, whose configuration and figures stay in a folder named by what was tried. All
share the work folder, so that a killed search goes on within the trial, nothing is trained twice, and what trials
have in common (often the first stage) is learnt once. Assumes one search per folder at a time. Knows neither
models nor data: the objective is passed in.
"""

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from pipeline.errors import NightreadError, UsageError
from training.config import read_config
from training.search_space import Search, Value, read_search

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a trial came to."""

    quality: float  # score on the choice split: the more the better
    latency: float  # seconds per study in a batch on this device: the less the better


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One configuration of the front."""

    config: Path
    measured: Measured
    values: Mapping[str, Value]


Objective = Callable[[Path], Measured]  # trains a configuration; may take hours; a NightreadError fails the trial


def tune_config(path: Path, objective: Objective) -> list[Member]:
    """Search as the [tune] table of a configuration says; the front."""
    search, base = read_search(path), read_config(path)
    folder = base.run.work / f"tune-{base.run.name}"
    folder.mkdir(parents=True, exist_ok=True)
    first = folder / "first.toml"
    search.write(first, search.first, run={})
    read_config(first)  # a misspelt parameter is found before the first training
    return tune(search, objective, folder=folder, seed=base.run.seed)


def tune(search: Search, objective: Objective, *, folder: Path, seed: int) -> list[Member]:
    """Try until as many trials as asked for are done; the front, best quality first."""
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _alone(folder):
        study = _open_study(folder, search)
        _try_again(study)
        while (done := _settled(study)) < search.trials:
            # A sampler that is made anew after a kill would draw its first values again, hence `done`.
            study.sampler = optuna.samplers.TPESampler(seed=seed + done)
            _attempt(study, search, objective, folder)
        return _write_front(study, search, folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"another process searches in {folder}; wait for it, or name another run") from error
        yield


def _open_study(folder: Path, search: Search) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(folder / "journal")))
    study = optuna.create_study(
        storage=storage, study_name="tune", directions=["maximize", "minimize"], load_if_exists=True
    )
    if study.user_attrs.setdefault("search", search.sha256) != search.sha256:
        raise UsageError(
            f"the search in {folder} was begun with another configuration; go back to that one, "
            f"or delete {folder} to begin anew (only the number of trials may change)"
        )
    study.set_user_attr("search", search.sha256)
    return study


def _try_again(study: optuna.Study) -> None:
    """Give up the trials of a killed process, and put their values first in line."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _settled(study: optuna.Study) -> int:
    """How many trials came to figures or to a reason; a killed one came to neither."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    return sum(trial.state is TrialState.COMPLETE or "reason" in trial.user_attrs for trial in trials)


def _attempt(study: optuna.Study, search: Search, objective: Objective, folder: Path) -> None:
    """One trial; whatever stops this process leaves it running, for the next one to try again."""
    trial = study.ask()
    values = {name: parameter.suggest(trial, name) for name, parameter in search.space.items()}
    log.info("trial %d: %s", trial.number + 1, _told(values))
    try:
        measured = _measure(values, search, objective, folder)
    except NightreadError as error:
        log.warning("trial %d failed: %s", trial.number + 1, error)
        trial.set_user_attr("reason", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return
    log.info("trial %d: quality %.4f, %.4f s per study", trial.number + 1, measured.quality, measured.latency)
    study.tell(trial, [measured.quality, measured.latency])


def _told(values: Mapping[str, Value]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _measure(values: Mapping[str, Value], search: Search, objective: Objective, folder: Path) -> Measured:
    """Train and measure, or take what the same values came to before."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
    place = folder / "trials" / digest
    kept = place / "measured.json"
    if kept.exists():
        return Measured(**json.loads(kept.read_text(encoding="utf-8")))
    place.mkdir(parents=True, exist_ok=True)
    config = place / "config.toml"
    search.write(
        config, values, run={"name": f"{search.base['run']['name']}-{digest}", "output": str(place / "checkpoint")}
    )
    measured = objective(config)
    partial = place / "measured.partial"
    partial.write_text(json.dumps(asdict(measured)), encoding="utf-8")
    partial.replace(kept)
    return measured


def _write_front(study: optuna.Study, search: Search, folder: Path) -> list[Member]:
    """A configuration per member of the front, to be trained as any other."""
    found = {
        _told(trial.params): (Measured(quality=trial.values[0], latency=trial.values[1]), trial.params)
        for trial in study.best_trials
    }
    if not found:
        raise NightreadError(f"no trial in {folder} came to figures; the log tells why each one failed")
    front = folder / "front"
    shutil.rmtree(front, ignore_errors=True)
    front.mkdir()
    members = []
    for number, (measured, values) in enumerate(sorted(found.values(), key=lambda pair: -pair[0].quality), 1):
        config, run = front / f"{number}.toml", search.base["run"]
        names = {key: f"{run[key]}-{number}" for key in ("name", "output")}
        search.write(config, values, run=names)
        members.append(Member(config=config, measured=measured, values=values))
    return members
