"""The model card: what a person must know before using a model, with figures as they were measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.manifest import Guidance, Manifest
from training.evaluate import Evaluation

SHOWN = (
    "CIDEr", "BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "seed BLEU-1", "seed BLEU-4", "AUROC abnormal",
    "macro F1 problems", "micro F1 problems", "macro F1 extracted", "distinct texts", "distinct impressions",
    "words", "words of reference", "normal texts", "normal references",
)  # fmt: skip

TEMPLATE = """# {title}

Drafts chest radiograph reports (FINDINGS and IMPRESSION) from a frontal view and, where there is one, a lateral
view.

**For research and evaluation only. Not for clinical use, not for commercial use.** Its texts are drafts that a
radiologist must read against the images; they miss findings and invent some.

## What it is
Each view is looked at by {encoder}. A head tells how likely each of {concepts} coded problems is.
The decoder ({architecture}, {search}) is told {told}.
It learnt to write {targets}.
{guided}Device UID {device_uid}.

## What it was trained on
{data}

Splits: concepts from {concept_splits}, reports from {report_splits}; epochs and settings chosen, and evidence
calibrated, on {choice_split}. The published test split was never used. Sentences that compare with an earlier
study, or that de-identification had emptied, were left out, so the model does not speak of earlier studies. The
backbone began from ImageNet weights (Apache-2.0).

## Licence
{licence}
The images and reports themselves are not part of this project.

## How it was judged
On {choice_split} ({studies} studies; the same split chose epochs and settings, so the figures flatter;
one seed), findings by the R2Gen protocol, impressions ("seed") by mean sentence BLEU, clinical F1 by findings
extracted from the text against human-coded problems with at least 10 cases. The intervals tell how far a figure
would move with other studies of the same kind (bootstrap), not with another seed. "Normal texts" is the share of
studies in whose text no finding is named, "normal references" that where people's own text names none:

{table}

{notes}Per problem, from the generated text:

{labels}

## What it does not do
- It saw adults at one health system with good-quality studies of two views. Children, other body parts and
  bedside films are outside of what it knows; rare findings are missed.
- Positions ("left", "upper lobe"), sizes and devices' tips are not reliable.
- Nothing found is not nothing there.
- Confidence is the mean log-probability per token: it tells how usual the text is, not whether it is right.
- Where it reads the indication, it follows the words of the department that such an indication came from; the row
  "without background" tells what is left without. Its training indications were de-identified ("XXXX").

## How a site trains its own
Put `studies.json` and `images.zip` of your own verified reports into a folder, copy `training/starter.toml`,
name the folder there and run `nightread-train fit your.toml`; then judge the result with
`nightread-train evaluate --model CHECKPOINT FOLDER`.
"""


TARGETS = {
    "written": "what people wrote",
    "consensus": "the report with the greatest expected score over all that people wrote (minimum Bayes risk)",
}


def render_card(manifest: Manifest, evaluations: Sequence[Evaluation]) -> str:
    """The card of a model as Markdown."""
    own, training, config = evaluations[0], manifest.training, manifest.config
    sources = {
        "use_image": "places of both views",
        "use_concepts": "the evidence for each problem",
        "use_indication": "the clinical indication",
    }
    return TEMPLATE.format(
        title=manifest.title,
        architecture=manifest.architecture,
        told=" and ".join(text for switch, text in sources.items() if config.get(switch)),
        targets=TARGETS[training.get("targets", "written")],
        guided=_guided(manifest.decoding.guidance) + _concluded(manifest.decoding.conclude),
        encoder=_encoder(config.get("encoder", {})),
        concepts=len(manifest.concepts),
        search="greedy" if manifest.decoding.beams == 1 else f"{manifest.decoding.beams} beams",
        device_uid=manifest.device_uid,
        data="\n\n".join([training["data"], *(f"Note: {note}." for note in training.get("data_notes", ()))]),
        concept_splits=" + ".join(training["concept_splits"]),
        report_splits=" + ".join(training["report_splits"]),
        choice_split=training["choice_split"],
        licence=manifest.licence,
        studies=own.studies,
        table=_table(evaluations),
        notes="".join(f"{note}.\n\n" for note in own.notes),
        labels=_labels(own),
    )


def _guided(guidance: Guidance | None) -> str:
    if guidance is None:
        return ""
    edited = (
        "It also tries one sentence more, by which it names such a problem where it knows of nothing else, and "
        "one less, where that names only what is unlikely. "
    )
    return (
        f"It writes again with each problem of a chance above {guidance.even} told beyond doubt. "
        f"{edited if guidance.edits else ''}It keeps the draft that is worth more: by how likely its words are, "
        "and by the problems that it names. "
        f"So about one in {1 / guidance.even:.0f} of what it names at that chance is there.\n"
    )


def _concluded(conclude: float) -> str:
    if conclude == 1:
        return ""
    return (
        "Its impression begins with those sentences of the findings that name a problem of a chance above "
        f"{conclude}, unless it names or denies that problem already.\n"
    )


def _encoder(config: Mapping[str, Any]) -> str:
    backbone, members = config.get("backbone", "a convolutional network"), config.get("members", 1)
    return f"{backbone}" if members == 1 else f"{members} encoders side by side ({backbone})"


def _table(evaluations: Sequence[Evaluation]) -> str:
    own = evaluations[0]
    names = ["this model", "95 % interval", *(item.name for item in evaluations[1:])]
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for metric in SHOWN:
        if metric in own.summary:
            bounds = "–".join(f"{bound:.3f}" for bound in own.intervals.get(metric, ()))
            values = [_figure(own.summary[metric]), bounds]
            values += (_figure(item.summary[metric]) for item in evaluations[1:])
            lines.append(f"| {metric} | {' | '.join(values)} |")
    return "\n".join(lines)


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _labels(evaluation: Evaluation) -> str:
    rows = (
        f"| {name} | {score.cases} | {score.precision:.2f} | {score.recall:.2f} | {score.f1:.2f} |"
        for name, score in evaluation.coded.labels.items()
    )
    return "\n".join(["| problem | cases | precision | recall | F1 |", "|---|---|---|---|---|", *rows])
