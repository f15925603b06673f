"""What a site decides about the conversion of its images, beside the model's own wishes."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.rules import NO_RULES, Rules
from pipeline.view_classifier import SHIPPED


@dataclass(frozen=True, kw_only=True, slots=True)
class Handling:
    """The same for all of a run's images; sent to every converting process."""

    rules: Rules = NO_RULES
    masks_text: bool = True  # paint over text that was burned in near the borders
    classifier: Path | None = SHIPPED  # the view classifier's folder; None: headers alone tell the projection


AS_SHIPPED = Handling()
