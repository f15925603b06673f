"""Where a model looked, for the evaluation page: its captioner's overlays, drawn over the views that it was given.

The model looks at a study once more for it. Knows no page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.captioner import Captioner
from pipeline.overlay import paint
from pipeline.study import Report, Study
from training.evaluation_page import Overlay


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """An `evaluation_page.Explainer`: a study and its draft -> a picture for each finding sentence and view."""

    captioner: Captioner

    def __call__(self, study: Study, report: Report) -> Sequence[Overlay]:
        """The pictures of a report's sentences, in their order."""
        views = {"frontal": study.frontal, "lateral": study.lateral}
        overlays = []
        for one in self.captioner.explain(study, report):
            view = views[one.view]
            assert view is not None
            overlays.append(Overlay(sentence=one.sentence, view=one.view, pixels=paint(view, one.heat)))
        return overlays
