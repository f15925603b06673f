"""`nightread-train`: train a model from a configuration, and judge a checkpoint beside the trivial baselines."""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

from pipeline.errors import NightreadError, UsageError

if TYPE_CHECKING:
    from training.evaluate import Evaluation

P = ParamSpec("P")


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


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@_one_line_errors
def fit(config: Path) -> None:
    """Train a model from CONFIG (a TOML file) and write its checkpoint."""
    from training.config import read_config
    from training.publish import publish
    from training.trainer import fit as train

    experiment = read_config(config)
    show(publish(experiment, train(experiment)))


@main.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--split", default="val", show_default=True, help="Which studies to judge on.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@_one_line_errors
def evaluate(checkpoint: Path, data: Path, split: str, device: str, batch_size: int, *, as_json: bool) -> None:
    """Judge CHECKPOINT on DATA, beside the trivial baselines."""
    from pipeline.captioner import Captioner
    from pipeline.checkpoint import load_checkpoint
    from training.evaluate import evaluate as judge

    captioner = Captioner(load_checkpoint(checkpoint), device=device, batch_size=batch_size)  # type: ignore[arg-type]
    show(judge(captioner, data, split), as_json=as_json)


@main.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--split", default="val", show_default=True, help="Which studies to judge on.")
@_one_line_errors
def card(checkpoint: Path, data: Path, split: str) -> None:
    """Judge CHECKPOINT on DATA and write the figures into its manifest and model card."""
    from training.publish import write_figures

    show(write_figures(checkpoint, data, split))


def show(evaluations: "Sequence[Evaluation]", *, as_json: bool = False) -> None:
    """Model and baselines side by side, then the model's labels."""
    if as_json:
        click.echo(json.dumps({item.name: item.summary for item in evaluations}, indent=1))
        return
    names = [item.name for item in evaluations]
    click.echo("".join(f"{name:>20}" for name in ["", *names]))
    for metric in evaluations[0].summary:
        values = "".join(f"{_figure(item.summary[metric]):>20}" for item in evaluations)
        click.echo(f"{metric:>20}{values}")
    for title, scores in (("coded problems", evaluations[0].coded), ("reference text", evaluations[0].extracted)):
        click.echo(f"\n{f'{names[0]} against {title}':<52}{'cases':>7}{'P':>7}{'R':>7}{'F1':>7}")
        for name, score in scores.labels.items():
            click.echo(f"{name:<52}{score.cases:>7}{score.precision:>7.2f}{score.recall:>7.2f}{score.f1:>7.2f}")
    for note in evaluations[0].notes:
        click.echo(f"\nNote: {note}.")
    if "METEOR" not in evaluations[0].summary:
        click.echo("\nNote: METEOR is left out, since there is no Java here.")


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
