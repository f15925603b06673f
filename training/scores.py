"""Scores of generated reports by the two protocols under which results are published, and by none.

`r2gen_scores`: corpus BLEU-1..4, ROUGE-L, CIDEr and (where Java is there) METEOR of the findings, against
references cut to 59 tokens with rare words as <unk>; the same against whole references stands beside it as
`untouched`. `seed_scores`: the mean over studies of NLTK 3.2.5's sentence BLEU of the impression. That release
leaves a zero n-gram precision out of the product, which is why its BLEU-4 can exceed its BLEU-1. Text overlap
proves little; see `clinical`. Assumes sentence-case reports. Knows no model.
"""

import contextlib
import io
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge

from pipeline.text import UNK, clean_r2gen

R2GEN_LENGTH = 59  # tokens of a reference
R2GEN_MIN_COUNT = 3  # train occurrences of a word that is no <unk>
ORDERS = 4
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


def corpus_scores(generated: Sequence[str], references: Sequence[str], *, meteor: bool = True) -> Scores:
    """The pycocoevalcap metrics of cleaned texts, one reference each."""
    candidates = {number: [text] for number, text in enumerate(generated)}
    truths = {number: [text] for number, text in enumerate(references)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(ORDERS).compute_score(truths, candidates, verbose=0)
        rouge, _ = Rouge().compute_score(truths, candidates)
        cider, _ = Cider().compute_score(truths, candidates)
    scores = {f"BLEU-{order + 1}": float(value) for order, value in enumerate(bleu)}
    scores |= {"ROUGE-L": float(rouge), "CIDEr": float(cider)}
    if meteor and shutil.which("java"):
        scores["METEOR"] = _meteor(truths, candidates)
    return scores


def _meteor(truths: dict[int, list[str]], candidates: dict[int, list[str]]) -> float:
    scorer = Meteor()
    try:
        return float(scorer.compute_score(truths, candidates)[0])
    finally:
        scorer.meteor_p.stdin.close()
        scorer.meteor_p.wait()


def r2gen_scores(
    generated: Sequence[str], references: Sequence[str], protocol: R2GenProtocol, *, meteor: bool = True
) -> dict[str, Scores]:
    """Findings under the R2Gen protocol, and against untouched references."""
    candidates = [clean_r2gen(text) for text in generated]
    cut = [protocol.reference(text) for text in references]
    whole = [clean_r2gen(text) for text in references]
    return {
        "r2gen": corpus_scores(candidates, cut, meteor=meteor),
        "untouched": corpus_scores(candidates, whole, meteor=meteor),
    }


def seed_scores(generated: Sequence[str], references: Sequence[str]) -> Scores:
    """Impressions under the seed paper's protocol: mean sentence BLEU of NLTK 3.2.5."""
    pairs = [(clean_r2gen(a).split(), clean_r2gen(b).split()) for a, b in zip(generated, references, strict=True)]
    weights = {1: 1.0, 2: 0.5, 3: 0.33, 4: 0.25}  # 0.33, not 1/3: as published
    return {
        f"seed BLEU-{order}": sum(sentence_bleu(a, b, order, weight) for a, b in pairs) / len(pairs)
        for order, weight in weights.items()
    }


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
    wanted = Counter(tuple(reference[i : i + n]) for i in range(len(reference) - n + 1))
    offered = Counter(tuple(candidate[i : i + n]) for i in range(len(candidate) - n + 1))
    return sum((offered & wanted).values()), max(1, sum(offered.values()))
