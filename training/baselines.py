"""The trivial authors beside whom every model is judged: a constant report, the most frequent one, a random one.

The constant one is the train findings with the best BLEU-4 on the very split, which favours it. Who does not beat
it has shown nothing. Assumes examples of `training.datasets`. Knows no model.
"""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from pycocoevalcap.bleu.bleu import Bleu

from pipeline.text import clean_r2gen
from training.datasets import Example
from training.drafts import Draft
from training.grams import ORDERS
from training.scores import R2GenProtocol

SHORTLIST = 40  # train reports that are tried as the constant one


def _constant(train: Sequence[Example], truth: Sequence[Example], protocol: R2GenProtocol) -> str:
    """The train findings that, said of every study, reach the best BLEU-4."""
    references = {number: [protocol.reference(example.findings)] for number, example in enumerate(truth)}
    pairs = Counter(pair for example in train for pair in _pairs(example.findings))
    ranked = sorted(
        train, key=lambda e: -sum(pairs[p] for p in _pairs(e.findings)) / (10 + len(e.findings.split()))
    )

    def bleu4(text: str) -> float:
        same = {number: [clean_r2gen(text)] for number in references}
        return float(Bleu(ORDERS).compute_score(references, same, verbose=0)[0][-1])

    return max((example.findings for example in ranked[:SHORTLIST]), key=bleu4)


def _pairs(text: str) -> set[tuple[str, str]]:
    words = clean_r2gen(text).split()
    return set(pairwise(words))


def baseline_drafts(
    train: Sequence[Example], truth: Sequence[Example], protocol: R2GenProtocol
) -> dict[str, list[Draft]]:
    """The three trivial authors."""
    written = [example for example in train if example.findings and example.impression]
    impression = Counter(example.impression for example in written).most_common(1)[0][0]
    frequent = Counter(example.findings for example in written).most_common(1)[0][0]
    constant = Draft(findings=_constant(written, truth, protocol), impression=impression)
    dice = random.Random(0)  # noqa: S311 - not for secrets
    drawn = [dice.choice(written) for _ in truth]
    return {
        "constant": [constant] * len(truth),
        "most frequent": [Draft(findings=frequent, impression=impression)] * len(truth),
        "random": [Draft(findings=example.findings, impression=example.impression) for example in drawn],
    }
