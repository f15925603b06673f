"""Where the model looked: for each sentence of a report that names a finding, the places that spoke for it.

Legend: V views, C channels, h×w places of the feature maps, H×W pixels, K concepts, T tokens, Y vocabulary; one
study at a time. A place's heat is the sum over channels of gradient × activation, positive parts only (Grad-CAM,
arXiv 1610.02391, with the gradient left where it is instead of averaged over places, as in HiResCAM, arXiv
2011.08891): so it works for every architecture, and a place that was not looked at stays cold. The gradient is of
the evidence of the concepts that the sentence names, where the head has such a concept; else of the
log-probability of the sentence's words. Assumes a model in eval mode. Does not know whether the model is right.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from pipeline.findings import NO_FINDING, split_sentences
from pipeline.models.report_model import ReportModel
from pipeline.overlay import Heat, Overlay
from pipeline.study import Finding, Polarity, Report
from pipeline.text import BOS, EOS, FINDINGS, IMPRESSION, STOP, sentence_words
from pipeline.text import encode as encode_ids

VIEWS = ("frontal", "lateral")


class Explainer:
    """Explains one model's reports."""

    def __init__(self, model: ReportModel, concepts: Sequence[str], tokenizer: Tokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._numbers = {name: number for number, name in enumerate(concepts)}

    def explain(self, views: Tensor, mask: Tensor, indication: Tensor, report: Report) -> list[Overlay]:
        """Views uint8 [1, V, H, W], bool [1, V], ids [1, L] and the report -> overlays, sentence by sentence.

        One for each view that is there. A sentence that nothing in the image spoke for has none.
        """
        named = named_findings(report.statements)
        if not named:
            return []
        with torch.no_grad():
            maps = self._model.see(views, mask)
        looked = _Look(self._model, maps.float(), mask, indication)
        spans = _Spans(report, self._tokenizer)
        overlays: list[Overlay] = []
        for sentence, labels in named.items():
            overlays += self._sentence(looked, spans, sentence, labels, (views.shape[-2], views.shape[-1]))
        return overlays

    def _sentence(
        self, looked: "_Look", spans: "_Spans", sentence: str, labels: Sequence[str], size: tuple[int, int]
    ) -> Iterator[Overlay]:
        concepts = self._concepts(labels)
        heat = looked.for_concepts([self._numbers[name] for name in concepts], size) if concepts else None
        by_concept = heat is not None
        if heat is None and sentence in spans.of:
            heat = looked.for_words(spans.ids, spans.of[sentence], size)
        if heat is None:
            return
        for number in looked.views:
            yield Overlay(
                sentence=sentence,
                label=", ".join(concepts if by_concept else labels),
                view="lateral" if number else "frontal",
                heat=heat[number],
                method="concept" if by_concept else "words",
            )

    def _concepts(self, labels: Iterable[str]) -> list[str]:
        """The concepts that labels stand for and that the head can tell; else evidence of them says nothing."""
        names = (label if label in self._numbers else label.split("/")[0] for label in labels)
        scales = self._model.evidence[0]
        return [name for name in dict.fromkeys(names) if name in self._numbers and scales[self._numbers[name]] > 0]


def named_findings(statements: Iterable[Finding]) -> dict[str, tuple[str, ...]]:
    """The sentences that say that something is there, or may be, each with what it names."""
    named: dict[str, tuple[str, ...]] = {}
    for item in statements:
        if item.polarity is not Polarity.ABSENT and item.label != NO_FINDING:
            named[item.sentence] = tuple(dict.fromkeys((*named.get(item.sentence, ()), item.label)))
    return named


class _Spans:
    """A report as the model reads it, and where each of its sentences stands."""

    def __init__(self, report: Report, tokenizer: Tokenizer) -> None:
        tokens = [BOS]
        self.of: dict[str, tuple[int, int]] = {}  # sentence -> first token and the one after the last
        for section, text in ((FINDINGS, report.findings), (IMPRESSION, report.impression)):
            tokens.append(section)
            for sentence in split_sentences(text):
                words = sentence_words(sentence)
                self.of.setdefault(sentence, (len(tokens), len(tokens) + len(words)))
                tokens += [*words, STOP]
        self.ids = torch.tensor([encode_ids(tokenizer, [*tokens, EOS])])  # [1, T]


class _Look:
    """What the encoder saw of one study, and what follows from it."""

    def __init__(self, model: ReportModel, maps: Tensor, mask: Tensor, indication: Tensor) -> None:
        self._model, self._mask, self._indication = model, mask, indication
        self._maps = maps.detach().requires_grad_()  # [1, V, C, h, w]
        self._scores: Tensor | None = None
        with torch.enable_grad():
            self._evidence = model.weigh(model.judge(self._maps, mask))  # [1, K]
        self.views = [number for number in range(len(VIEWS)) if mask[0, number]]

    def for_concepts(self, numbers: Sequence[int], size: tuple[int, int]) -> Heat | None:
        """The heat [V, H, W] of the evidence of some concepts; None where no place spoke for them."""
        return self._heat(self._evidence[0, list(numbers)].sum(), size)

    def for_words(self, ids: Tensor, span: tuple[int, int], size: tuple[int, int]) -> Heat | None:
        """The heat [V, H, W] of the words ids[:, span]; None where no place spoke for them."""
        if self._scores is None:
            self._scores = self._read(ids.to(self._maps.device))
        return self._heat(self._scores[span[0] - 1 : span[1] - 1].sum(), size)

    def _read(self, ids: Tensor) -> Tensor:
        """[1, T] -> log-probability of each token after the first [T - 1]."""
        # cuDNN's recurrent layers have no gradient in eval mode; PyTorch's own are slower, on one study no matter
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            memory = self._model.remember(self._maps, self._mask, self._evidence, self._indication)
            return self._model.score(ids, memory)[0]

    def _heat(self, score: Tensor, size: tuple[int, int]) -> Heat | None:
        with torch.backends.cudnn.flags(enabled=False):
            (gradient,) = torch.autograd.grad(score, self._maps, retain_graph=True)
        places = (gradient * self._maps).detach().sum(2).relu()  # [1, V, h, w]
        hottest = places.amax()
        if not hottest.isfinite() or hottest <= 0:
            return None
        heat = F.interpolate(places / hottest, size=size, mode="bilinear", align_corners=False)
        return np.asarray(heat[0].cpu().numpy(), dtype=np.float32)
