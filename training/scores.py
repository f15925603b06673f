"""Scores of generated reports by the two protocols under which results are published, and by none.

`r2gen_overlap`: corpus BLEU-1..4, ROUGE-L, CIDEr and (where Java is there) METEOR of the findings, against
references cut to 59 tokens with rare words as <unk>; the same against whole references stands beside it as
`untouched`. `seed_overlap`: the mean over studies of NLTK 3.2.5's sentence BLEU of the impression. That release
leaves a zero n-gram precision out of the product, which is why its BLEU-4 can exceed its BLEU-1. Text overlap
proves little; see `clinical`. Assumes sentence-case reports. Knows no model.
"""

import contextlib
import io
import math
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge

from pipeline.text import UNK, clean_r2gen
from training.bootstrap import Statistic, bleu_of, mean_of
from training.grams import BLEU_WEIGHTS, ORDERS, grams_of

R2GEN_LENGTH = 59  # tokens of a reference
R2GEN_MIN_COUNT = 3  # train occurrences of a word that is no <unk>
Scores = dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class R2GenProtocol:
    """The words that the published protocol knows: those of the train split."""

    words: frozenset[str]

    @classmethod
    def from_train(cls, findings: Sequence[str]) -> "R2GenProtocol":
        """The vocabulary of the train findings."""
        counts = Counter(word for text in findings for word in clean_r2gen(text).split())
        return cls(words=frozenset(word for word, count in counts.items() if count >= R2GEN_MIN_COUNT))

    def reference(self, findings: str) -> str:
        """A reference as the protocol sees it."""
        words = clean_r2gen(findings).split()[:R2GEN_LENGTH]
        return " ".join(word if word in self.words else UNK for word in words)


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """What texts share with their references: the corpus figures, and how each comes from its studies."""

    scores: Scores
    statistics: Mapping[str, Statistic]


def corpus_overlap(generated: Sequence[str], references: Sequence[str], *, meteor: bool = True) -> Overlap:
    """The pycocoevalcap metrics of cleaned texts, one reference each.

    For intervals, CIDEr's document frequencies stay those of all references, and METEOR, which is not a mean over
    studies, is taken as the mean moved onto the figure.
    """
    candidates = {number: [text] for number, text in enumerate(generated)}
    truths = {number: [text] for number, text in enumerate(references)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(ORDERS).compute_score(truths, candidates, verbose=0)
        rouge, rouges = Rouge().compute_score(truths, candidates)
        cider, ciders = Cider().compute_score(truths, candidates)
    counts = ngram_counts(generated, references)
    scores = {f"BLEU-{order}": float(value) for order, value in enumerate(bleu, 1)}
    scores |= {"ROUGE-L": float(rouge), "CIDEr": float(cider)}
    statistics = {f"BLEU-{order}": bleu_of(counts, order) for order in range(1, ORDERS + 1)}
    statistics |= {"ROUGE-L": mean_of(rouges), "CIDEr": mean_of(ciders)}
    if meteor and shutil.which("java"):
        scores["METEOR"], meteors = _meteor(truths, candidates)
        statistics["METEOR"] = mean_of(meteors, scores["METEOR"] - sum(meteors) / len(meteors))
    return Overlap(scores=scores, statistics=statistics)


def corpus_scores(generated: Sequence[str], references: Sequence[str], *, meteor: bool = True) -> Scores:
    """The figures alone."""
    return corpus_overlap(generated, references, meteor=meteor).scores


def ngram_counts(generated: Sequence[str], references: Sequence[str]) -> NDArray[np.int64]:
    """[S, 2 * ORDERS + 2] per study: matches and n-grams of each order, words written, words of the reference."""
    rows = []
    for text, truth in zip(generated, references, strict=True):
        candidate, reference = text.split(), truth.split()
        matches = [_clipped(candidate, reference, n)[0] for n in range(1, ORDERS + 1)]
        grams = [max(0, len(candidate) - n + 1) for n in range(1, ORDERS + 1)]
        rows.append([*matches, *grams, len(candidate), len(reference)])
    return np.asarray(rows, dtype=np.int64)


def _meteor(truths: dict[int, list[str]], candidates: dict[int, list[str]]) -> tuple[float, list[float]]:
    scorer = Meteor()
    try:
        score, scores = scorer.compute_score(truths, candidates)
        return float(score), scores
    finally:
        process = scorer.meteor_p
        for pipe in (process.stdin, process.stdout, process.stderr):  # the library leaves the last two open
            pipe.close()
        process.kill()
        process.wait()


def r2gen_overlap(
    generated: Sequence[str], references: Sequence[str], protocol: R2GenProtocol, *, meteor: bool = True
) -> dict[str, Overlap]:
    """Findings under the R2Gen protocol, and against untouched references."""
    candidates = [clean_r2gen(text) for text in generated]
    cut = [protocol.reference(text) for text in references]
    whole = [clean_r2gen(text) for text in references]
    return {
        "r2gen": corpus_overlap(candidates, cut, meteor=meteor),
        "untouched": corpus_overlap(candidates, whole, meteor=meteor),
    }


def seed_overlap(generated: Sequence[str], references: Sequence[str]) -> Overlap:
    """Impressions under the seed paper's protocol: mean sentence BLEU of NLTK 3.2.5."""
    pairs = [(clean_r2gen(a).split(), clean_r2gen(b).split()) for a, b in zip(generated, references, strict=True)]
    studies = {
        f"seed BLEU-{order}": [sentence_bleu(a, b, order, weight) for a, b in pairs]
        for order, weight in BLEU_WEIGHTS.items()
    }
    return Overlap(
        scores={name: sum(values) / len(values) for name, values in studies.items()},
        statistics={name: mean_of(values) for name, values in studies.items()},
    )


def sentence_bleu(candidate: Sequence[str], reference: Sequence[str], order: int, weight: float) -> float:
    """NLTK 3.2.5's sentence_bleu without smoothing: zero precisions are left out, none at all gives 0."""
    matches = [_clipped(candidate, reference, n) for n in range(1, order + 1)]
    if not matches[0][0]:
        return 0.0
    logs = [weight * math.log(hits / total) for hits, total in matches if hits]
    longer = len(candidate) > len(reference)
    brevity = 1.0 if longer or not candidate else math.exp(1 - len(reference) / len(candidate))
    return brevity * math.exp(math.fsum(logs))


def _clipped(candidate: Sequence[str], reference: Sequence[str], n: int) -> tuple[int, int]:
    """Clipped n-gram matches, and how many n-grams there are (at least 1)."""
    wanted, offered = grams_of(reference, n), grams_of(candidate, n)
    return sum((offered & wanted).values()), max(1, sum(offered.values()))
