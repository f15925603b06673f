"""Where the model looked, for the run page: asked again when the page is made, for the studies it shows.

Nothing of it is stored. A report by another model than the one at hand has no pictures, nor has one whose view is
no longer kept. The indication is erased once a study is reported, so that the model is asked without it: that
changes no picture of a concept, and those of words a little.
"""

import structlog

from db.entries import StudyEntry
from pipeline.exports.run_page import PageLook, PageStudy, PageView
from pipeline.overlay import Overlay, Picture, paint
from pipeline.study import Pixels, Report, Study
from worker.looks import Explaining

log = structlog.get_logger()


def looks_of(explaining: Explaining, entry: StudyEntry, shown: PageStudy) -> tuple[PageLook, ...]:
    """The pictures of a study; none where they cannot be made, and the log says why."""
    report = entry.report
    if report is None or report.weights_sha256 != explaining.manifest.weights_sha256:
        return ()
    views = {role: _thumbnail(shown.views, role) for role in ("frontal", "lateral")}
    used = [view for view in shown.views if view.label.startswith(tuple(views))]
    if not used or any(view.thumbnail is None for view in used):
        return ()
    study = Study(key=entry.study_id, frontal=views["frontal"], lateral=views["lateral"])
    draft = Report(
        findings=report.findings,
        impression=report.impression,
        confidence=report.confidence,
        statements=shown.statements,
    )
    try:
        overlays = explaining.explain(study, draft)
    except Exception as error:  # noqa: BLE001 - the boundary at which a picture's failure costs only the picture
        log.warning("overlay_failed", study=entry.study_id, reason=type(error).__name__)
        return ()
    return _looks(overlays, views)


def _thumbnail(views: tuple[PageView, ...], role: str) -> Pixels | None:
    return next((view.thumbnail for view in views if view.label.startswith(role)), None)


def _looks(overlays: list[Overlay], views: dict[str, Pixels | None]) -> tuple[PageLook, ...]:
    """Sentences of the same concepts have the same heat, and share one look."""
    shared: dict[str, list[Overlay]] = {}
    for overlay in overlays:
        shared.setdefault(overlay.label if overlay.method == "concept" else overlay.sentence, []).append(overlay)
    return tuple(_look(alike, views) for alike in shared.values())


def _look(alike: list[Overlay], views: dict[str, Pixels | None]) -> PageLook:
    pictures: dict[str, Picture] = {}
    for overlay in alike:
        view = views[overlay.view]
        if view is not None and overlay.view not in pictures:
            pictures[overlay.view] = paint(view, overlay.heat)
    sentences = dict.fromkeys(overlay.sentence for overlay in alike)
    return PageLook(sentence=" ".join(sentences), label=alike[0].label, pictures=pictures)
