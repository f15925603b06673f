"""The model card: what a person must know before using a model, with figures as they were measured."""

from collections.abc import Sequence

from pipeline.manifest import Manifest
from training.evaluate import Evaluation

SHOWN = (
    "CIDEr", "BLEU-1", "BLEU-4", "METEOR", "ROUGE-L", "seed BLEU-1", "seed BLEU-4", "AUROC abnormal",
    "macro F1 problems", "micro F1 problems", "macro F1 extracted", "distinct texts",
)  # fmt: skip

TEMPLATE = """# {title}

Drafts chest radiograph reports (FINDINGS and IMPRESSION) from a frontal view and, where there is one, a lateral
view.

**For research and evaluation only. Not for clinical use, not for commercial use.** Its texts are drafts that a
radiologist must read against the images; they miss findings and invent some.

## What it is
A {backbone} looks at each view; a concept head estimates {concepts} coded problems; a recurrent decoder with
additive attention over both views and the concepts above their thresholds writes the report ({beams} beams).
Device UID {device_uid}.

## What it was trained on
{data}

Splits: concepts from {concept_splits}, reports from {report_splits}; epoch, thresholds and beams chosen on
{choice_split}. The published test split was never used. Sentences that compare with an earlier study, or that
de-identification had emptied, were left out, so the model does not speak of earlier studies. The backbone began
from ImageNet weights (Apache-2.0).

## Licence
{licence}
The images and reports themselves are not part of this project.

## How it was judged
On {choice_split} ({studies} studies; the same split chose epoch, thresholds and beams, so the figures flatter;
one seed), findings by the R2Gen protocol, impressions ("seed") by mean sentence BLEU, clinical F1 by findings
extracted from the text against human-coded problems with at least 10 cases:

{table}

{notes}Per problem, from the generated text:

{labels}

## What it does not do
- It saw adults at one health system with good-quality studies of two views. Children, other body parts and
  bedside films are outside of what it knows; rare findings are missed.
- Positions ("left", "upper lobe"), sizes and devices' tips are not reliable.
- Nothing found is not nothing there.
- Confidence is the mean log-probability per token: it tells how usual the text is, not whether it is right.
- Small changes of an image (a grey level of noise, a resize) change a quarter of the texts or more, since
  a concept
  near its threshold is told or not: see `training/LOG.md`.

## How a site trains its own
Put `studies.json` and `images.zip` of your own verified reports into a folder, copy `training/starter.toml`,
name the folder there and run `nightread-train fit your.toml`; then judge the result with
`nightread-train evaluate CHECKPOINT FOLDER`.
"""


def render_card(manifest: Manifest, evaluations: Sequence[Evaluation]) -> str:
    """The card of a model as Markdown."""
    own, training = evaluations[0], manifest.training
    return TEMPLATE.format(
        title=manifest.title,
        backbone=manifest.config.get("encoder", {}).get("backbone", "convolutional network"),
        concepts=len(manifest.concepts),
        beams=manifest.decoding.beams,
        device_uid=manifest.device_uid,
        data=training["data"],
        concept_splits=" + ".join(training["concept_splits"]),
        report_splits=" + ".join(training["report_splits"]),
        choice_split=training["choice_split"],
        licence=manifest.licence,
        studies=own.studies,
        table=_table(evaluations),
        notes="".join(f"{note}.\n\n" for note in own.notes),
        labels=_labels(own),
    )


def _table(evaluations: Sequence[Evaluation]) -> str:
    names = ["this model", *(item.name for item in evaluations[1:])]
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for metric in SHOWN:
        if metric in evaluations[0].summary:
            values = (_figure(item.summary[metric]) for item in evaluations)
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
