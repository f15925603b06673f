"""`nightread-train`: train a model from a configuration, and judge a checkpoint beside the trivial baselines."""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

from pipeline.errors import NightreadError, UsageError

if TYPE_CHECKING:
    from training.config import Config
    from training.evaluate import Evaluation
    from training.tune import Measured, Member

P = ParamSpec("P")
DATA = "../shared/iuxray"  # beside the repository, where our own data lie
_FORM = click.option("--form", default="", help="iuxray, openi or mimic-cxr; else what DATA holds tells.")


def _one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """A known error is one line on stderr; exit code 2 for usage, 1 otherwise."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except NightreadError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(2 if isinstance(error, UsageError) else 1)

    return run


@click.group()
def main() -> None:
    """Train report models and judge them."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)


def _refuse_unwritable(*paths: Path | None) -> None:
    """Judging takes minutes; that its result has no place is said before."""
    for path in paths:
        if path and not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {path.parent}; make it first")


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--version", help="Instead of the file's; the result goes to a folder of that name in its output.")
@_one_line_errors
def fit(config: Path, version: str | None) -> None:
    """Train a model from CONFIG (a TOML file) and write its checkpoint.

    Killed, it goes on where it was. On several GPUs: torchrun --nproc-per-node N -m training fit CONFIG.
    """
    from training.check import require_sound

    require_sound(config)
    from training.config import read_config
    from training.distribution import joined
    from training.publish import publish
    from training.trainer import fit as train

    experiment = read_config(config, version=version)
    with joined() as ranks:
        trained = train(experiment)
        if ranks.first:
            show(publish(experiment, trained))


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@_one_line_errors
def tune(config: Path, *, as_json: bool) -> None:
    """Search for better or faster models as the [tune] table of CONFIG says; needs `pip install '.[tune]'`.

    Killed, it goes on where it was. Prints the front: what no other trial beats in quality and latency.
    """
    try:
        from training.tune import tune_config
    except ModuleNotFoundError as error:
        raise UsageError(f"a search needs {error.name}; pip install '.[tune]'") from error

    show_front(tune_config(config, _run_trial), as_json=as_json)


def _run_trial(config: Path) -> "Measured":
    from training.trial import run_trial  # a misspelt configuration is told before what trains is imported

    return run_trial(config)


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@_one_line_errors
def ablate(config: Path, *, as_json: bool) -> None:
    """Train CONFIG with one thing changed at a time, as its [ablation] table says; print a row for each.

    Killed, it goes on where it was.
    """
    from training.ablation import ablate as compare
    from training.ablation import render_rows

    rows = compare(config, _measure_figures)
    click.echo(json.dumps([asdict(row) for row in rows], indent=1) if as_json else render_rows(rows))


def _measure_figures(config: "Config") -> "Mapping[str, float]":
    from training.trial import measure_figures  # as above

    return measure_figures(config)


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@_one_line_errors
def check(config: Path) -> None:
    """Look for everything that is wrong with CONFIG and its data, without training; exit 1 if it would stop."""
    from training.check import examine
    from training.problem_list import listed, stopping

    problems = examine(config)
    wrong = stopping(problems)
    for line in listed(wrong):
        click.echo(f"stops    {line}")
    for line in listed(problem for problem in problems if not problem.stops):
        click.echo(f"warning  {line}")
    click.echo("It can be trained from." if not wrong else "It cannot be trained from as it is.")
    sys.exit(1 if wrong else 0)


@main.command()
@click.argument("data", type=click.Path(path_type=Path), envvar="NIGHTREAD_DATA", default=DATA)
@click.option(
    "--model", default="champion", show_default=True, help="A shipped model's name, or a checkpoint folder."
)
@_FORM
@click.option("--split", default="val", show_default=True, help="Which studies to judge on.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--no-meteor", is_flag=True, help="Leave METEOR out; it needs Java and takes the most time.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--json-file", type=click.Path(path_type=Path), help="Write the JSON here too.")
@click.option("--page", type=click.Path(path_type=Path), help="Write an HTML page with cases here.")
@_one_line_errors
def evaluate(
    data: Path,
    model: str,
    form: str,
    split: str,
    device: str,
    *,
    batch_size: int,
    json_file: Path | None,
    page: Path | None,
    no_meteor: bool,
    as_json: bool,
) -> None:
    """Judge a model on DATA, beside the trivial baselines.

    DATA is a folder in any form that can be trained from: $NIGHTREAD_DATA, or else ../shared/iuxray.
    """
    from pipeline.captioner import Captioner
    from pipeline.checkpoint import load_checkpoint
    from pipeline.manifest import find_checkpoint
    from training.assessment import assess
    from training.evaluation_page import write_page
    from training.looks import Looks

    checkpoint = load_checkpoint(find_checkpoint(model))
    captioner = Captioner(checkpoint, device=device, batch_size=batch_size)  # type: ignore[arg-type]
    _refuse_unwritable(page, json_file)
    told = assess(captioner, data, split, form=form, meteor=not no_meteor)
    if page:
        write_page(told, page, Looks(captioner=captioner))
    if json_file:
        json_file.write_text(json.dumps(told.json, indent=1) + "\n", encoding="utf-8")
    click.echo(json.dumps(told.json, indent=1) if as_json else told.table)


@main.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@_FORM
@click.option("--split", default="val", show_default=True, help="Which studies to judge on.")
@_one_line_errors
def card(checkpoint: Path, data: Path, form: str, split: str) -> None:
    """Judge CHECKPOINT on DATA and write the figures into its manifest and model card."""
    from training.publish import write_figures

    show(write_figures(checkpoint, data, split, form=form))


@main.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@_one_line_errors
def publish(checkpoint: Path) -> None:
    """Keep CHECKPOINT where the site's models are and register it; `nightread models` does the rest."""
    from training.registry import publish_by_worker

    sys.exit(publish_by_worker(checkpoint))


@main.command()
@click.option("--chests", type=click.Path(path_type=Path), default=DATA, show_default=True)
@click.option("--frontals", type=click.Path(path_type=Path), default="../shared/cxr", show_default=True)
@click.option("--others", type=click.Path(path_type=Path), default="../shared/dicom", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Train, and write the weights to this folder.")
@click.option("--steps", type=click.IntRange(min=1), default=2500, show_default=True)
@_one_line_errors
def views(*, chests: Path, frontals: Path, others: Path, out: Path | None, steps: int) -> None:
    """Judge the shipped view classifier (frontal, lateral, other) by views it never saw; with --out, train one."""
    from pipeline.view_classifier import load_classifier
    from training.view_figures import figures
    from training.view_release import read_views, release, table

    seen = read_views(chests, frontals, others)
    click.echo(table(release(seen, out, steps=steps) if out else list(figures(load_classifier(), seen))))


def show_front(members: "Sequence[Member]", *, as_json: bool = False) -> None:
    """A line per member of a search's front, best quality first."""
    if as_json:
        click.echo(json.dumps([asdict(member) for member in members], indent=1, default=str))
        return
    click.echo(f"{'quality':>8} {'s/study':>8}  configuration")
    for member in members:
        values = ", ".join(f"{name} = {value}" for name, value in member.values.items())
        click.echo(f"{member.measured.quality:8.4f} {member.measured.latency:8.4f}  {member.config}: {values}")


def show(evaluations: "Sequence[Evaluation]") -> None:
    """Model and baselines side by side, then the model's labels."""
    from training.evaluation_table import render_table

    click.echo(render_table(evaluations))
